"""Draws from truncated Beta densities, their deterministic command, and boxes beside polygons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from pe_safety import beta_sampling
from pe_safety.axis_box import axis_boxes, centroids, compare
from pe_safety.beta_sampling import draw_keys, mean_command, sample
from pe_safety.polygon import Polygons, areas, polygons
from pe_safety.qp import OPTIMAL, solve_batch
from pe_safety.truncated_beta import evaluate, log_mass
from tests.bench import truncated_beta as bench
from tests.support.safe_sets import (
    BOX,
    FAMILIES,
    Array,
    commands_rows,
    problems,
    random_parameters,
    unit_rows,
)

WEIGHTS = np.array([150.0, 1.0])


def repeated(found: Polygons, k: int, n: int) -> Polygons:
    return Polygons(np.repeat(found.vertices[k : k + 1], n, axis=0), np.repeat(found.counts[k : k + 1], n))


def by_cells(parameters: Array, found: Polygons, n: int, seed: int) -> Array:
    """Draws of problem 0 by trapezoids alone."""
    table, cells = np.empty(beta_sampling.TABLE_SHAPE), np.empty(beta_sampling._CELL_SHAPE)
    weights = np.empty(beta_sampling._CELLS)
    exponents = [float(v) - 1.0 for v in parameters]
    return np.array(
        [
            beta_sampling._draw_from_cells(
                found.vertices[0], found.counts[0], *exponents, key, 0, table, cells, weights
            )
            for key in draw_keys(seed, 0, n)
        ]
    )


def z_scores(x: Array, parameters: Array, found: Polygons) -> Array:
    """Means of (log x, log(1 - x), log y, log(1 - y)) over draws of one density, from E[T], in standard errors."""
    values = evaluate(parameters[None], np.full((1, 2), 0.5), Polygons(found.vertices[:1], found.counts[:1]))
    expected = np.log(0.5) - values.grad_log_prob[0]
    logs = np.stack([np.log(x[:, 0]), np.log1p(-x[:, 0]), np.log(x[:, 1]), np.log1p(-x[:, 1])], axis=1)
    return (logs.mean(axis=0) - expected) / (logs.std(axis=0) / np.sqrt(len(x)) + 1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(FAMILIES))
def test_every_draw_meets_every_row(seed: int, family: str) -> None:
    rng = np.random.default_rng(seed)
    a, c = unit_rows(family, rng, 50)
    g, b = commands_rows(a, c)
    x = sample(random_parameters(rng, 50), polygons(g, b, BOX), draw_keys(seed, 0, 50))
    assert (x >= 0.0).all() and (x <= 1.0).all()
    assert (np.einsum("nmk,nk->nm", a, x) <= c + 1e-9).all()
    assert (np.einsum("nmk,nk->nm", g, BOX.command(x)) <= b + 1e-9 * np.abs(a).max()).all()


class TestDistribution:
    @pytest.mark.parametrize(
        ("a", "b"), [(1.0, 1.0), (1.0, 5.0), (5.0, 1.0), (1.001, 1.002), (2.0, 3.0), (80.0, 30.0)]
    )
    def test_whole_box(self, a: float, b: float) -> None:
        n = 5000
        square = polygons(np.zeros((n, 1, 2)), np.zeros((n, 1)), BOX)
        x = sample(np.tile([a, b, b, a], (n, 1)), square, draw_keys(1, 0, n))
        assert stats.kstest(x[:, 0], stats.beta(a, b).cdf).pvalue > 1e-3
        assert stats.kstest(x[:, 1], stats.beta(b, a).cdf).pvalue > 1e-3
        assert abs(np.corrcoef(x.T)[0, 1]) < 0.06

    @pytest.mark.parametrize("family", FAMILIES)
    def test_both_ways_have_the_moments_of_the_density(self, family: str) -> None:
        n = 3000
        _, _, found = problems(family, 16, 3)
        for k in range(3):
            parameters = random_parameters(np.random.default_rng(k), 1, 40.0)[0]
            many = repeated(found, k, n)
            mixed = sample(np.tile(parameters, (n, 1)), many, draw_keys(k, 0, n))
            cells = by_cells(parameters, many, n, k)
            for x in (mixed, cells):
                assert np.abs(z_scores(x, parameters, many)).max() < 4.5

    def test_marginal_of_a_strip(self) -> None:
        """A robot that may not drive on turns as it would have turned."""
        n = 3000
        g, b = np.array([[[1.0, 0.0]]] * n), np.zeros((n, 1))
        bounded = type(BOX)(0.0, 1.0, 2.84)
        x = sample(np.tile([30.0, 3.0, 4.0, 2.0], (n, 1)), polygons(g, b, bounded), draw_keys(3, 0, n))
        assert x[:, 0].max() <= 1.1e-10
        assert stats.kstest(x[:, 1], stats.beta(4.0, 2.0).cdf).pvalue > 1e-3


class TestKeys:
    def test_a_draw_depends_on_its_key_alone(self) -> None:
        _, _, found = problems("few rows", 17, 40)
        parameters = random_parameters(np.random.default_rng(18), 40)
        keys = draw_keys(5, 100, 40)
        x = sample(parameters, found, keys)
        order = np.random.default_rng(19).permutation(40)
        moved = sample(parameters[order], Polygons(found.vertices[order], found.counts[order]), keys[order])
        assert np.array_equal(moved, x[order])
        alone = sample(
            parameters[7:8], Polygons(found.vertices[7:8], found.counts[7:8]), draw_keys(5, 107, 1)
        )
        assert np.array_equal(alone[0], x[7])

    def test_keys_differ(self) -> None:
        keys = np.concatenate([draw_keys(seed, 0, 1000) for seed in range(20)])
        assert len(np.unique(keys)) == len(keys)
        assert np.array_equal(draw_keys(3, 10, 5), draw_keys(3, 0, 15)[10:])

    def test_refused(self) -> None:
        _, _, found = problems("one row", 20, 3)
        parameters = np.full((3, 4), 2.0)
        with pytest.raises(ValueError, match="negative"):
            draw_keys(-1, 0, 3)
        with pytest.raises(TypeError, match="uint64"):
            sample(parameters, found, np.arange(3))
        with pytest.raises(ValueError, match="expected"):
            sample(parameters, found, draw_keys(0, 0, 2))
        with pytest.raises(ValueError, match="at least 1"):
            sample(parameters * np.nan, found, draw_keys(0, 0, 3))

    def test_an_empty_set_gives_the_mean(self) -> None:
        found = polygons(np.array([[[1.0, 0.0]]]), np.array([[-1.0]]), BOX)
        x = sample(np.array([[1.0, 3.0, 2.0, 2.0]]), found, draw_keys(0, 0, 1))
        assert x.tolist() == [[0.25, 0.5]]


class TestMeanCommand:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_is_the_projection_and_the_filter_leaves_it(self, family: str) -> None:
        n = 300
        a, c = unit_rows(family, np.random.default_rng(21), n)
        bounds = np.broadcast_to([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], (n, 4, 2))
        right = np.broadcast_to([BOX.v_max, -BOX.v_min, BOX.omega_max, BOX.omega_max], (n, 4))
        g, b = commands_rows(a, c)
        parameters = random_parameters(np.random.default_rng(22), n)
        u, status = mean_command(parameters, g, b, BOX, WEIGHTS)
        assert (status == OPTIMAL).all()
        mean = BOX.command(parameters[:, ::2] / (parameters[:, ::2] + parameters[:, 1::2]))
        rows, sides = np.concatenate([bounds, g], axis=1), np.concatenate([right, b], axis=1)
        for nominal in (mean, u):
            v, state, active = np.empty((n, 2)), np.empty(n, np.int8), np.empty((n, 2), np.int16)
            solve_batch(rows, sides, nominal, WEIGHTS, v, state, active)
            np.testing.assert_allclose(u, v, rtol=0.0, atol=1e-12)

    def test_infeasible_rows_leave_the_mean(self) -> None:
        u, status = mean_command(
            np.array([[1.0, 3.0, 2.0, 2.0]]), np.ones((1, 1, 2)), np.full((1, 1), -9.0), BOX, WEIGHTS
        )
        assert status.tolist() == [1] and u.tolist() == [[-0.125, 0.0]]

    def test_refused(self) -> None:
        g, b, parameters = np.ones((2, 1, 2)), np.ones((2, 1)), np.full((2, 4), 2.0)
        with pytest.raises(ValueError, match="problem 1: G must be finite"):
            mean_command(parameters, np.array([[[1.0, 1.0]], [[np.nan, 1.0]]]), b, BOX, WEIGHTS)
        with pytest.raises(ValueError, match="positive"):
            mean_command(parameters, g, b, BOX, [1.0, 0.0])
        with pytest.raises(ValueError, match="at least 1"):
            mean_command(parameters * 0.1, g, b, BOX, WEIGHTS)


def test_benchmark_rows() -> None:
    rows = bench.timings(0.1, 1, 256)
    assert {row["subject"] for row in rows} == {bench.CLIP, bench.DRAW, bench.STORED, bench.WHOLE}
    assert all(row["value"] > 0.0 for row in rows)
    got = bench.boxes_beside_polygons(512)
    assert got.problems == 512 and 0.2 < got.covered < 0.7 and got.unsafe_area < 0.1


class TestAxisBoxes:
    def points(self, found: Polygons) -> Array:
        """Centroids of the vertices, which are safe."""
        return np.array([v[:k].mean(axis=0) for v, k in zip(found.vertices, found.counts, strict=True)])

    def test_intervals_by_hand(self) -> None:
        """x + y <= 1 about (0.25, 0.5): [0, 0.5] x [0, 0.75], of which a triangle at (0.5, 0.75) is unsafe."""
        root = np.sqrt(0.5)
        found = polygons(*commands_rows(np.array([[[root, root]]]), np.array([[root]])), BOX)
        boxes = axis_boxes(found, np.array([[0.25, 0.5]]))
        np.testing.assert_allclose(boxes.vertices[0, 2], [0.5, 0.75], atol=1e-9)
        got = compare(found, np.array([[0.25, 0.5]]), np.ones((1, 4)))
        assert got.problems == 1
        assert got.area_polygon == pytest.approx(0.5, abs=1e-8)
        assert got.area_box == pytest.approx(0.375, abs=1e-8)
        assert got.unsafe_area == pytest.approx(0.03125 / 0.375, abs=1e-7)
        assert got.covered == pytest.approx(0.34375 / 0.5, abs=1e-8)
        assert got.covered_mass == pytest.approx(got.covered, abs=1e-8)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_ends_of_intervals_lie_on_the_border(self, family: str) -> None:
        a, c, found = problems(family, 23, 200)
        points = self.points(found)
        boxes = axis_boxes(found, points)
        for corner, axis in ((0, 0), (2, 0), (0, 1), (2, 1)):
            ends = points.copy()
            ends[:, axis] = boxes.vertices[:, corner, axis]
            room = np.concatenate([c - np.einsum("nmk,nk->nm", a, ends), ends, 1.0 - ends], axis=1).min(
                axis=1
            )
            assert np.abs(room).max() < 3e-9

    def test_normaliser_is_a_product_of_incomplete_beta_functions(self) -> None:
        _, _, found = problems("few rows", 24, 100)
        boxes = axis_boxes(found, self.points(found))
        parameters = random_parameters(np.random.default_rng(25), 100, 20.0)
        low, high = boxes.vertices[:, 0], boxes.vertices[:, 2]
        expected = np.prod(
            [
                special.betainc(parameters[:, 2 * k], parameters[:, 2 * k + 1], high[:, k])
                - special.betainc(parameters[:, 2 * k], parameters[:, 2 * k + 1], low[:, k])
                for k in range(2)
            ],
            axis=0,
        )
        usable = expected > 1e-6
        assert usable.sum() > 50
        np.testing.assert_allclose(np.exp(log_mass(parameters, boxes))[usable], expected[usable], rtol=1e-5)

    def test_about_a_point_on_one_edge_the_box_is_safe(self) -> None:
        """A projected mean lies on an edge: there one row bounds both intervals."""
        n = 200
        a, c = unit_rows("one row", np.random.default_rng(26), n)
        g, b = commands_rows(a, c)
        found = polygons(g, b, BOX)
        parameters = random_parameters(np.random.default_rng(27), n, 20.0)
        u, _ = mean_command(parameters, g, b, BOX, WEIGHTS)
        x = np.clip(BOX.unit(u), 0.0, 1.0)
        on_edge = np.abs(np.einsum("nmk,nk->nm", a, x) - c)[:, 0] < 1e-9
        boxes = axis_boxes(found, x)
        corners = boxes.vertices[:, :4]
        worst = (np.einsum("nk,nck->nc", a[:, 0], corners) - c).max(axis=1)
        assert on_edge.sum() > 20 and worst[on_edge].max() < 1e-9
        assert worst[~on_edge].max() > 1e-2

    def test_centroids(self) -> None:
        _, _, found = problems("few rows", 31, 50)
        centres = centroids(found)
        for k in range(50):
            points = found.vertices[k, : found.counts[k]]
            triangles = [points[[0, j, j + 1]] for j in range(1, len(points) - 1)]
            sizes = [0.5 * np.linalg.det(t[1:] - t[0]) for t in triangles]
            expected = np.average([t.mean(axis=0) for t in triangles], axis=0, weights=sizes)
            np.testing.assert_allclose(centres[k], expected, atol=1e-9)
        square = polygons(np.zeros((1, 1, 2)), np.zeros((1, 1)), BOX)
        np.testing.assert_array_equal(axis_boxes(square, centroids(square)).vertices, square.vertices)
        empty = Polygons(square.vertices, np.zeros(1, np.int8))
        assert (centroids(empty) == 0.5).all() and axis_boxes(empty, centroids(empty)).counts[0] == 0

    def test_comparison(self) -> None:
        _, _, found = problems("few rows", 28, 2000)
        got = compare(found, self.points(found), np.full((2000, 4), 3.0), seed=1)
        assert 1000 < got.problems <= 2000
        assert 0.0 < got.unsafe_area < 0.5 and 0.0 < got.unsafe_draws < 0.5
        assert 0.5 < got.covered < 1.0 and 0.5 < got.covered_mass < 1.0
        again = compare(found, self.points(found), np.full((2000, 4), 3.0), seed=1)
        assert again == got
        assert areas(found).mean() == pytest.approx(got.area_polygon, rel=0.2)

    def test_refused(self) -> None:
        _, _, found = problems("one row", 29, 3)
        with pytest.raises(ValueError, match="expected"):
            axis_boxes(found, np.full((2, 2), 0.5))
        with pytest.raises(ValueError, match="unit square"):
            axis_boxes(found, np.full((3, 2), np.nan))
        square = polygons(np.zeros((3, 1, 2)), np.zeros((3, 1)), BOX)
        with pytest.raises(ValueError, match="nothing to compare"):
            compare(square, np.full((3, 2), 0.5), np.full((3, 4), 2.0))
