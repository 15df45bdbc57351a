"""Drawing by numpy alone."""

from __future__ import annotations

import numpy as np

from training.render import Canvas, margin_colour


def test_margins_go_from_red_to_green() -> None:
    near, far = margin_colour(0.0, 1.0), margin_colour(5.0, 1.0)
    assert near[0] > near[1] and far[1] > far[0]
    assert margin_colour(-1.0, 1.0) == near


def test_a_disc_has_its_area_and_place_and_y_points_up() -> None:
    canvas = Canvas(1.0, 200)
    canvas.disc(0.5, 0.5, 0.2, (1, 2, 3))
    there = (canvas.pixels == (1, 2, 3)).all(axis=2)
    assert abs(there.sum() * (2.0 / 200) ** 2 - np.pi * 0.04) < 0.004
    rows, columns = np.nonzero(there)
    assert abs(rows.mean() - 49.5) < 1.0 and abs(columns.mean() - 149.5) < 1.0


def test_what_lies_outside_is_not_drawn() -> None:
    canvas = Canvas(1.0, 50)
    before = canvas.pixels.copy()
    canvas.disc(9.0, -9.0, 0.2, (1, 2, 3))
    np.testing.assert_array_equal(canvas.pixels, before)


def test_image_is_averaged_over_its_oversampling() -> None:
    canvas = Canvas(1.0, 40)
    canvas.square(1.0, (10, 20, 30))
    image = canvas.image(2)
    assert image.shape == (20, 20, 3) and image.dtype == np.uint8
    assert tuple(image[10, 10]) == (10, 20, 30)
