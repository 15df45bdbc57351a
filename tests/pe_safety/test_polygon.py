"""The polygon of safe commands: clipping against half-planes, thin and empty sets, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_core.robot import load_robot
from pe_safety.polygon import INFLATION, VERTICES_MAX, Box, Polygons, areas, polygons
from pe_safety.qp import OPTIMAL, solve
from tests.support.safe_sets import BOX, FAMILIES, commands_rows, problems, unit_rows

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def one(a: object, c: object, box: Box = BOX) -> tuple[np.ndarray, Polygons]:
    """The vertices of one problem given by half-planes in unit coordinates."""
    g, b = commands_rows(
        np.array([a], dtype=float).reshape(1, -1, 2), np.array([c], dtype=float).reshape(1, -1), box
    )
    found = polygons(g, b, box)
    return found.vertices[0, : found.counts[0]], found


def convex_hull_area(points: np.ndarray) -> float:
    x, y = points.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


class TestShapes:
    def test_without_a_row_that_cuts_the_square_stays_bit_for_bit(self) -> None:
        vertices, _ = one([[1.0, 0.0], [0.6, 0.8]], [1.0, 1.5])
        assert np.array_equal(vertices, SQUARE)

    def test_half(self) -> None:
        vertices, found = one([[1.0, 0.0]], [0.25])
        assert sorted(map(tuple, vertices.round(9))) == [(0.0, 0.0), (0.0, 1.0), (0.25, 0.0), (0.25, 1.0)]
        assert areas(found)[0] == pytest.approx(0.25 + INFLATION, abs=1e-15)

    def test_corner(self) -> None:
        vertices, found = one([[np.sqrt(0.5), np.sqrt(0.5)]], [0.25 * np.sqrt(2.0)])
        assert len(vertices) == 3
        assert areas(found)[0] == pytest.approx(0.125, rel=1e-8)

    def test_a_row_of_commands(self) -> None:
        """v + 0.1 omega <= 0.5 in a box of commands, corners by hand."""
        box = Box(0.0, 1.0, 2.0)
        found = polygons(np.array([[[1.0, 0.1]]]), np.array([[0.5]]), box)
        u = box.command(found.vertices[0, : found.counts[0]])
        expected = [(0.0, -2.0), (0.7, -2.0), (0.3, 2.0), (0.0, 2.0)]
        np.testing.assert_allclose(sorted(map(tuple, u)), sorted(expected), atol=1e-9)

    def test_units(self) -> None:
        x = np.random.default_rng(0).random((5, 2))
        np.testing.assert_allclose(BOX.unit(BOX.command(x)), x, atol=1e-15)
        np.testing.assert_allclose(BOX.command(SQUARE[[0, 2]]), [[-0.5, -2.84], [1.0, 2.84]], atol=1e-15)
        np.testing.assert_allclose(BOX.action(SQUARE[[0, 2]]), [[-0.5, -1.0], [1.0, 1.0]], atol=1e-15)
        robot = load_robot("turtlebot3_burger")
        assert Box.of(robot) == Box(robot.v_min, robot.v_max, robot.omega_max)

    def test_single_precision_rows(self) -> None:
        a, c = unit_rows("few rows", np.random.default_rng(1), 500)
        g, b = (x.astype(np.float32) for x in commands_rows(a, c))
        single, double = polygons(g, b, BOX), polygons(g.astype(float), b.astype(float), BOX)
        assert np.array_equal(single.vertices, double.vertices) and np.array_equal(
            single.counts, double.counts
        )

    def test_more_rows_than_vertices_leave_a_subset(self) -> None:
        angles = np.linspace(0.0, 2.0 * np.pi, 28, endpoint=False)
        a = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        c = a @ [0.5, 0.5] + 0.4
        vertices, found = one(a, c)
        assert found.counts[0] == VERTICES_MAX
        assert (a @ vertices.T <= c[:, None] + 2 * INFLATION).all()
        assert 0.85 * np.pi * 0.16 < areas(found)[0] < np.pi * 0.16 * 1.01

    def test_rows_that_meet_in_one_point(self) -> None:
        """Concurrent rows leave no vertices that nearly coincide, whose edge would point anywhere."""
        angles = np.linspace(0.1, 1.4, 9)
        a = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        vertices, _ = one(a, a @ [0.3, 0.4])
        gaps = np.linalg.norm(vertices - np.roll(vertices, 1, axis=0), axis=1)
        assert gaps.min() > 1e-12


@pytest.mark.parametrize("family", FAMILIES)
def test_vertices_meet_their_rows_and_turn_left(family: str) -> None:
    a, c, found = problems(family, 2, 1000)
    assert (found.counts >= 3).all()
    for k in range(1000):
        points = found.vertices[k, : found.counts[k]]
        assert (points @ a[k].T <= c[k] + INFLATION + 1e-14).all()
        assert (points >= 0.0).all() and (points <= 1.0).all()
        edges = np.roll(points, -1, axis=0) - points
        after = np.roll(edges, -1, axis=0)
        assert (edges[:, 0] * after[:, 1] - edges[:, 1] * after[:, 0]).min() > -1e-15
        assert areas(found)[k] == pytest.approx(convex_hull_area(points - points[0]), rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_area_is_the_share_of_points_that_meet_all_rows(seed: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((1, m, 2))
    c = np.einsum("nmk,nk->nm", a, rng.random((1, 2))) + rng.uniform(0.0, 0.5, (1, m))
    found = polygons(*commands_rows(a, c), BOX)
    grid = (np.arange(256) + 0.5) / 256
    x, y = np.meshgrid(grid, grid)
    met = (a[0, :, 0, None, None] * x + a[0, :, 1, None, None] * y <= c[0, :, None, None]).all(axis=0)
    # The border of a convex set in the square passes at most about 4 * 256 cells.
    assert areas(found)[0] == pytest.approx(met.mean(), abs=4.0 / 256)


class TestThinAndEmpty:
    def test_a_set_without_area_becomes_a_strip(self) -> None:
        vertices, found = one([[1.0, 0.0]], [0.0])
        assert found.counts[0] == 4
        assert areas(found)[0] == pytest.approx(INFLATION, rel=1e-6)
        assert vertices[:, 1].min() == 0.0 and vertices[:, 1].max() == 1.0

    def test_a_segment_inside_and_a_point(self) -> None:
        _, found = one([[0.6, 0.8], [-0.6, -0.8]], [0.7, -0.7])
        assert areas(found)[0] == pytest.approx(2.0 * INFLATION * 1.25, rel=1e-3)
        vertices, found = one([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], [0.0, 0.5, -0.5])
        assert found.counts[0] == 4
        np.testing.assert_allclose(vertices, [[0.0, 0.5]] * 4, atol=2 * INFLATION)

    def test_contradicting_rows_leave_nothing(self) -> None:
        for a, c in (
            ([[1.0, 0.0]], [-0.1]),
            ([[1.0, 0.0], [-1.0, 0.0]], [0.4, -0.5]),
            ([[0.0, 0.0]], [-1.0]),
        ):
            vertices, found = one(a, c)
            assert len(vertices) == 0 and areas(found)[0] == 0.0

    def test_zero_rows_and_padding_bind_nothing(self) -> None:
        g = np.array([[[0.0, 0.0], [5.0, -3.0]]])
        found = polygons(g, np.array([[0.0, np.inf]]), BOX)
        assert np.array_equal(found.vertices[0, :4], SQUARE)
        assert polygons(np.zeros((2, 0, 2)), np.zeros((2, 0)), BOX).counts.tolist() == [4, 4]
        assert polygons(np.zeros((0, 3, 2)), np.zeros((0, 3)), BOX).counts.shape == (0,)

    @pytest.mark.parametrize("thin", [0.0, 0.3])
    def test_empty_just_where_the_program_is_infeasible(self, thin: float) -> None:
        rng = np.random.default_rng(4)
        a = rng.standard_normal((2000, 6, 2))
        c = np.einsum("nmk,nk->nm", a, rng.random((2000, 2))) + rng.uniform(-thin, 0.3, (2000, 6))
        g, b = commands_rows(a, c)
        found = polygons(g, b, BOX)
        bounds = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        right = np.array([BOX.v_max, -BOX.v_min, BOX.omega_max, BOX.omega_max])
        feasible = [
            solve(np.vstack([bounds, g[k]]), np.concatenate([right, b[k]]), 0.0, 0.0, 150.0, 1.0)[2]
            == OPTIMAL
            for k in range(2000)
        ]
        assert np.array_equal(found.counts > 0, feasible)
        assert thin == 0.0 or 100 < np.sum(feasible) < 1900


class TestRefused:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_rows_that_are_not_finite(self, value: float) -> None:
        for k in range(2):
            g, b = np.ones((3, 2, 2)), np.full((3, 2), 9.0)
            g[1, 1, k] = value
            with pytest.raises(ValueError, match="problem 1: G must be finite"):
                polygons(g, b, BOX)
            b[1] = np.inf
            with pytest.raises(ValueError, match="problem 1"):
                polygons(g, b, BOX)

    @pytest.mark.parametrize("value", [np.nan, -np.inf])
    def test_right_hand_sides(self, value: float) -> None:
        b = np.full((3, 2), 9.0)
        b[2, 0] = value
        with pytest.raises(ValueError, match="problem 2: .* b finite or \\+inf"):
            polygons(np.ones((3, 2, 2)), b, BOX)

    def test_shapes_and_types(self) -> None:
        g, b = np.ones((3, 2, 2)), np.ones((3, 2))
        for wrong in ((g[0], b[0]), (g, b[:2]), (np.ones((3, 2, 3)), b)):
            with pytest.raises(ValueError, match="expected"):
                polygons(*wrong, BOX)
        with pytest.raises(TypeError, match="float32"):
            polygons(g, b.astype(np.float32), BOX)
        with pytest.raises(TypeError, match="float32"):
            polygons(g.astype(int), b.astype(int), BOX)

    @pytest.mark.parametrize(
        "bounds", [(1.0, 1.0, 2.0), (0.0, 1.0, 0.0), (np.nan, 1.0, 1.0), (0.0, np.inf, 1.0)]
    )
    def test_boxes(self, bounds: tuple[float, float, float]) -> None:
        with pytest.raises(ValueError, match="v_min < v_max"):
            Box(*bounds)
