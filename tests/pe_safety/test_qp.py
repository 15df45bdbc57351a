"""The compiled QP: optimal against independent solvers and exact arithmetic, infeasible only with a proof."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from pe_safety import qp
from pe_safety.qp_reference import WarmOsqp, solve_quadprog
from tests.support.qp_problems import (
    WEIGHTS,
    Array,
    Problems,
    binary_scaled,
    exact_batch,
    exact_farkas,
    exact_one,
    excludes_ball,
    integer_problems,
    parallel_problems,
    random_problems,
    relative_violation,
    scaled_problems,
)


def solve_all(problems: Problems) -> tuple[Array, NDArray[np.int8], NDArray[np.int16]]:
    n = len(problems.b)
    u = np.empty((n, 2), problems.b.dtype)
    status = np.empty(n, np.int8)
    active = np.empty((n, 2), np.int16)
    qp.solve_batch(*problems, WEIGHTS, u, status, active)
    return u, status, active


def cost(u: Array, nominal: Array) -> Array:
    return (WEIGHTS * (u - nominal) ** 2).sum(-1)


def size_of(problems: Problems, u: Array) -> Array:
    """Length scale of each problem's commands (N, 1)."""
    return np.maximum(np.abs(problems.nominal).max(1), np.abs(u).max(1))[:, None]


class TestExactArithmetic:
    @pytest.mark.parametrize("m", [1, 2, 3, 5, 8, 12])
    @pytest.mark.parametrize("feasible", [True, None])
    def test_integer_problems_are_solved_and_judged_exactly(self, m: int, feasible: bool | None) -> None:
        problems = integer_problems(np.random.default_rng(m), 3000, m, feasible)
        u, status, _ = solve_all(problems)
        expected, exists = exact_batch(problems)
        np.testing.assert_array_equal(status == qp.OPTIMAL, exists)
        assert exists.any()
        np.testing.assert_allclose(u[exists], expected[exists], rtol=1e-12, atol=1e-12)

    def test_powers_of_two_up_to_a_thousand_million_change_nothing(self) -> None:
        rng = np.random.default_rng(7)
        problems = integer_problems(rng, 4000, 12, True)
        scaled, whole = binary_scaled(rng, problems)
        u, status, _ = solve_all(scaled)
        expected, exists = exact_batch(problems)
        np.testing.assert_array_equal(status == qp.OPTIMAL, exists)
        np.testing.assert_allclose((u / whole)[exists], expected[exists], rtol=1e-12, atol=1e-12)

    @settings(max_examples=300, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(data=st.data())
    def test_any_floats_against_rational_enumeration(self, data: st.DataObject) -> None:
        m = data.draw(st.integers(0, 6))
        number = st.one_of(
            st.integers(-4, 4).map(float),
            st.floats(-8, 8, width=16, allow_subnormal=False),
            st.sampled_from([1.0 / 3.0, 0.1, -0.7, 2.0**-20, 1.0 + 2.0**-10]),
        )
        g = np.array(data.draw(st.lists(st.tuples(number, number), min_size=m, max_size=m))).reshape(m, 2)
        b = np.array(data.draw(st.lists(number, min_size=m, max_size=m))).reshape(m)
        nominal = np.array(data.draw(st.tuples(number, number)))
        v, w, status, *rows = qp.solve(g, b, nominal[0], nominal[1], 150.0, 1.0)
        u = np.array([v, w])
        answer = exact_one(g, b, nominal, WEIGHTS)
        if status == qp.INFEASIBLE:
            assert answer is None or np.abs(np.array(answer, float)).max() > 1e3
            return
        assert relative_violation(Problems(g[None], b[None], nominal[None]), u[None]) <= 1e-12
        if answer is not None:
            exact = np.array([float(x) for x in answer])
            # A sharp vertex may move by its condition number; the cost may not.
            assert cost(u, nominal) <= cost(exact, nominal) * (1 + 1e-9) + 1e-9

    def test_rows_may_come_in_any_order(self) -> None:
        rng = np.random.default_rng(3)
        problems = random_problems(rng, 2000)
        order = rng.permuted(np.tile(np.arange(12), (2000, 1)), axis=1)
        shuffled = Problems(
            np.take_along_axis(problems.g, order[:, :, None], 1),
            np.take_along_axis(problems.b, order, 1),
            problems.nominal,
        )
        (u, status, _), (v, other, _) = solve_all(problems), solve_all(shuffled)
        np.testing.assert_array_equal(status, other)
        np.testing.assert_allclose(u, v, rtol=1e-9, atol=1e-11)


class TestPeers:
    @pytest.mark.parametrize("family", [random_problems, parallel_problems, scaled_problems])
    def test_quadprog_agrees_on_ten_thousand_problems(self, family) -> None:
        problems = family(np.random.default_rng(11), 10_000)
        u, status, _ = solve_all(problems)
        feasible = status == qp.OPTIMAL
        # quadprog's tolerances are absolute: it is given unit rows and commands of size one.
        norm = np.linalg.norm(problems.g, axis=2)
        length = np.abs(problems.nominal).max(1)
        g, b = problems.g / norm[:, :, None], problems.b / norm / length[:, None]
        nominal = problems.nominal / length[:, None]
        differ = 0
        for k in range(len(b)):
            v, w, judged = solve_quadprog(g[k], b[k], nominal[k, 0], nominal[k, 1], 150.0, 1.0)
            if judged != status[k]:
                differ += 1
                confirm_status(g[k], b[k], int(status[k]))
            elif feasible[k]:
                ours, theirs = u[k] / length[k], np.array([v, w])
                assert cost(ours, nominal[k]) <= cost(theirs, nominal[k]) * (1 + 1e-8) + 1e-9
                assert abs(cost(ours, nominal[k]) - cost(theirs, nominal[k])) <= 1e-6 * (
                    1 + cost(ours, nominal[k])
                )
        assert differ <= 20
        assert relative_violation(problems, u)[feasible].max() <= 1e-12

    def test_osqp_agrees_at_tight_tolerance(self) -> None:
        problems = random_problems(np.random.default_rng(12), 400, thin=-0.05)
        u, status, _ = solve_all(problems)
        assert (status == qp.OPTIMAL).all()
        peer = WarmOsqp(12, WEIGHTS, tolerance=1e-10, iterations=200_000)
        solved = 0
        for k in range(400):
            v, w, judged = peer.solve(problems.g[k], problems.b[k], *problems.nominal[k])
            if judged == 0:
                solved += 1
                np.testing.assert_allclose(u[k], [v, w], atol=1e-5)
        assert solved >= 390

    def test_equality_pairs_which_quadprog_calls_infeasible(self) -> None:
        rng = np.random.default_rng(13)
        problems = random_problems(rng, 3000, thin=0.0)
        factor = rng.uniform(0.5, 2.0, 3000)
        problems.g[:, 5] = -factor[:, None] * problems.g[:, 2]
        problems.b[:, 2] -= 0.9 * (problems.b[:, 2] - np.minimum(problems.b[:, 2], 0.5))
        problems.b[:, 5] = -factor * problems.b[:, 2]
        u, status, _ = solve_all(problems)
        wrong = 0
        for k in range(3000):
            if k < 400:
                confirm_status(problems.g[k], problems.b[k], int(status[k]))
            wrong += (
                status[k] == qp.OPTIMAL
                and solve_quadprog(problems.g[k], problems.b[k], *problems.nominal[k], 150.0, 1.0)[2] == 1
            )
        feasible = status == qp.OPTIMAL
        assert feasible.sum() > 300
        assert wrong > 0, "quadprog has learned equalities: drop the exception in its docstring"
        assert relative_violation(problems, u)[feasible].max() <= 1e-12
        on_line = np.abs(np.einsum("nk,nk->n", problems.g[:, 2], u) - problems.b[:, 2])
        assert on_line[feasible].max() <= 1e-12 * 100


def confirm_status(g: Array, b: Array, status: int) -> None:
    """HiGHS: the least violation s with G u <= b + s |g| is positive exactly if we say infeasible."""
    norm = np.linalg.norm(g, axis=1)
    rows = np.column_stack([g, -norm])
    result = linprog(
        [0, 0, 1.0], A_ub=rows, b_ub=b, bounds=[(None, None), (None, None), (0, None)], method="highs"
    )
    assert result.status == 0
    least = float(result.x[2])
    assert least > 1e-11 if status == qp.INFEASIBLE else least < 1e-6, (least, status)


class TestInfeasible:
    def test_every_refusal_has_an_exact_proof(self) -> None:
        """Integer rows: lambda >= 0, G^T lambda = 0, b^T lambda < 0 in rational arithmetic."""
        rng = np.random.default_rng(21)
        problems, _ = binary_scaled(rng, integer_problems(rng, 4000, 12))
        found = 0
        for g, b, nominal in zip(*problems, strict=True):
            _, _, status, *rows = qp.solve(g, b, nominal[0], nominal[1], 150.0, 1.0)
            if status == qp.INFEASIBLE:
                found += 1
                assert exact_farkas(g, b, tuple(rows))
                multipliers = qp.farkas_certificate(g, b, tuple(rows))
                assert multipliers.min() >= 0.0 and b @ multipliers < 0.0
                assert (np.abs(g.T @ multipliers) <= 1e-12 * (np.abs(g.T) @ multipliers)).all()
        assert found > 1000

    @pytest.mark.parametrize("noise", [0.0, 1e-16, 1e-15, 1e-13, 1e-11, 1e-8])
    def test_rounded_data_near_the_border_is_certified_one_way_or_the_other(self, noise: float) -> None:
        """Degenerate rows disturbed by rounding: a point within 1e-9, or a proof for all |u| <= 100."""
        rng = np.random.default_rng(22)
        g, b, nominal = integer_problems(rng, 2500, 12)
        b -= 2.0 * np.einsum("nmk,k->nm", np.abs(g), np.array([0.1, 0.2])) * (rng.random((2500, 1)) < 0.5)
        disturbed = Problems(
            g * (1 + noise * rng.standard_normal(g.shape)),
            b * (1 + noise * rng.standard_normal(b.shape)),
            nominal,
        )
        u, status, _ = solve_all(disturbed)
        assert 0 < status.sum() < 2500
        feasible = status == qp.OPTIMAL
        near = feasible & (np.abs(u).max(1) < 1e3)
        assert relative_violation(disturbed, u)[near].max() <= 1e-9
        for k in np.flatnonzero(~feasible):
            _, _, _, *rows = qp.solve(disturbed.g[k], disturbed.b[k], *nominal[k], 150.0, 1.0)
            g, b = disturbed.g[k], disturbed.b[k]
            if not exact_farkas(g, b, tuple(rows)):
                assert excludes_ball(g, b, qp.farkas_certificate(g, b, tuple(rows)), 100.0), rows

    def test_highs_agrees_on_a_thousand_tight_problems(self) -> None:
        problems = random_problems(np.random.default_rng(23), 1000, thin=0.5)
        _, status, _ = solve_all(problems)
        assert 100 < status.sum() < 900
        for g, b, s in zip(problems.g, problems.b, status, strict=True):
            confirm_status(g, b, int(s))

    def test_no_proof_from_rows_that_do_not_contradict(self) -> None:
        g = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
        with pytest.raises(ValueError, match="do not contradict"):
            qp.farkas_certificate(g, np.array([1.0, 1.0, 1.0]), (0, 1, 2))
        with pytest.raises(ValueError, match="no rows contradict"):
            qp.farkas_certificate(g, np.ones(3), (-1, -1, -1))


class TestEdges:
    def test_zero_rows_bind_nothing_or_everything(self) -> None:
        g = np.zeros((1, 2))
        assert qp.solve(g, np.zeros(1), 1.0, 2.0, 150.0, 1.0)[:3] == (1.0, 2.0, qp.OPTIMAL)
        assert qp.solve(g, np.array([-1e-30]), 1.0, 2.0, 150.0, 1.0)[:4] == (0.0, 0.0, qp.INFEASIBLE, 0)

    def test_no_rows(self) -> None:
        assert qp.solve(np.empty((0, 2)), np.empty(0), 1.0, 2.0, 150.0, 1.0)[:3] == (1.0, 2.0, qp.OPTIMAL)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("place", ["g", "b", "nominal"])
    @pytest.mark.parametrize("row", [0, 3])
    def test_data_that_is_not_finite_stops(self, bad: float, place: str, row: int) -> None:
        problems = random_problems(np.random.default_rng(31), 50, 6, thin=-0.1)
        if place == "g":
            problems.g[:, row, 1] = bad
        elif place == "b":
            problems.b[:, row] = bad
        else:
            problems.nominal[:, row % 2] = bad
        u, status, active = solve_all(problems)
        if place == "b" and bad == np.inf:
            assert (status == qp.OPTIMAL).all() and (active != row).all()
            return
        assert (u == 0.0).all() and (status == qp.INFEASIBLE).all() and (active == -1).all()
        for g, b, p in zip(*problems, strict=True):
            assert qp.solve(g, b, p[0], p[1], 150.0, 1.0)[:3] == (0.0, 0.0, qp.INFEASIBLE)

    @pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-160, 1e160, 1e200, 1e300])
    def test_rows_of_extreme_size(self, scale: float) -> None:
        problems = random_problems(np.random.default_rng(32), 200, 6, thin=-0.1)
        scaled = Problems(problems.g * scale, problems.b * scale, problems.nominal)
        np.testing.assert_allclose(solve_all(scaled)[0], solve_all(problems)[0], rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("far", [1e6, 1e9, 1e12])
    def test_a_far_nominal_command_leaves_no_violation(self, far: float) -> None:
        rng = np.random.default_rng(33)
        g, b, _ = random_problems(rng, 3000, thin=-0.1)
        box = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        g = np.concatenate([g, np.tile(box, (3000, 1, 1))], 1)
        b = np.concatenate([b, np.full((3000, 4), 3.0)], 1)
        problems = Problems(g, b, far * rng.standard_normal((3000, 2)))
        u, status, _ = solve_all(problems)
        good = status == qp.OPTIMAL
        assert good.mean() > 0.9
        assert (np.einsum("nmk,nk->nm", g, u) - b)[good].max() <= 1e-12

    def test_violation_within_a_thousandth_of_a_millionth_and_float32_within_one_in_a_hundred_thousand(
        self,
    ) -> None:
        problems = random_problems(np.random.default_rng(34), 20_000)
        single = Problems(*(x.astype(np.float32) for x in problems))
        for case, limit in ((problems, 1e-9), (single, 1e-5)):
            u, status, _ = solve_all(case)
            exact = np.einsum("nmk,nk->nm", case.g.astype(float), u.astype(float)) - case.b
            near = (status == qp.OPTIMAL) & (np.abs(u).max(1) < 10.0)
            assert near.mean() > 0.9
            assert exact[near].max() <= limit
