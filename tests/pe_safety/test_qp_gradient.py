"""Gradients of the QP layer: finite differences, also on either side of a change of the active set."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pe_safety.qp_layer import solve_qp
from tests.support.qp_problems import (
    WEIGHTS,
    Array,
    Problems,
    integer_problems,
    random_problems,
    scaled_problems,
)

BACKENDS = ("compiled", "torch")


def tensors(problems: Problems, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    return tuple(torch.tensor(x, dtype=dtype, requires_grad=True) for x in problems)


def solve(problems: Problems, backend: str) -> tuple[Array, Array, Array]:
    with torch.no_grad():
        solution = solve_qp(*tensors(problems), WEIGHTS, backend)
    return solution.u.numpy(), solution.status.numpy(), np.sort(solution.active.numpy(), axis=1)


def directional(problems: Problems, directions: Problems, backend: str) -> Array:
    """J d for each problem (N, 2), by two vector-Jacobian products."""
    inputs = tensors(problems)
    solution = solve_qp(*inputs, WEIGHTS, backend)
    result = np.zeros((len(problems.b), 2))
    for k in range(2):
        grads = torch.autograd.grad(solution.u[:, k].sum(), inputs, retain_graph=True)
        assert all(torch.isfinite(g).all() for g in grads)
        for grad, d in zip(grads, directions, strict=True):
            result[:, k] += (grad.numpy() * d).reshape(len(d), -1).sum(1)
    return result


def moved(problems: Problems, directions: Problems, step: float) -> Problems:
    return Problems(*(x + step * d for x, d in zip(problems, directions, strict=True)))


def sharpness(problems: Problems, active: Array) -> Array:
    """|sine| between the two active rows, 1 where there are fewer (N,)."""
    rows = np.take_along_axis(problems.g, np.maximum(active, 0)[:, :, None].astype(int), 1) / np.sqrt(WEIGHTS)
    norm = np.maximum(np.linalg.norm(rows, axis=2), 1e-300)
    sine = np.abs(rows[:, 0, 0] * rows[:, 1, 1] - rows[:, 0, 1] * rows[:, 1, 0]) / norm.prod(1)
    return np.where((active >= 0).all(1), sine, 1.0)


@pytest.mark.parametrize("backend", BACKENDS)
class TestFiniteDifferences:
    def test_central_differences_where_the_active_set_stays(self, backend: str) -> None:
        rng = np.random.default_rng(1)
        problems = random_problems(rng, 4000)
        directions = Problems(*(rng.standard_normal(x.shape) for x in problems))
        step = 1e-6
        _, status, active = solve(problems, backend)
        ahead, _, set_ahead = solve(moved(problems, directions, step), backend)
        behind, _, set_behind = solve(moved(problems, directions, -step), backend)
        same = (status == 0) & (active == set_ahead).all(1) & (active == set_behind).all(1)
        same &= sharpness(problems, active) > 0.05
        assert same.sum() > 2500
        counts = (active[same] >= 0).sum(1)
        assert all((counts == k).sum() > 30 for k in range(3))
        expected = (ahead - behind) / (2 * step)
        found = directional(problems, directions, backend)
        np.testing.assert_allclose(found[same], expected[same], rtol=1e-4, atol=1e-4)

    def test_one_sided_differences_where_it_changes(self, backend: str) -> None:
        """Integer problems lie on changes: on a side that keeps the reported rows, the gradient is that side's."""
        rng = np.random.default_rng(2)
        problems = integer_problems(rng, 8000, 6, True)
        u, status, active = solve(problems, backend)
        directions = Problems(*(rng.standard_normal(x.shape) for x in problems))
        found = directional(problems, directions, backend)
        slack = problems.b - np.einsum("nmk,nk->nm", problems.g, u)
        tight = (np.abs(slack) < 1e-9).sum(1) > (active >= 0).sum(1)
        assert tight.sum() > 1000, "these problems should be degenerate"
        step = 1e-7
        checked = np.zeros(len(u), bool)
        for side in (1.0, -1.0):
            there, status_there, set_there = solve(moved(problems, directions, side * step), backend)
            keeps = tight & (status_there == 0) & (active == set_there).all(1)
            one_sided = side * (there - u) / step
            np.testing.assert_allclose(found[keeps], one_sided[keeps], rtol=2e-4, atol=2e-4)
            checked |= keeps
        assert checked.sum() > 500

    def test_on_a_row_it_is_the_inner_side_and_at_a_new_vertex_the_rows(self, backend: str) -> None:
        """By hand: u_nom on row v <= 1, and a projection that meets the second row exactly."""
        G = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64).repeat(2, 1, 1)
        b = torch.tensor([[1.0, 5.0], [1.0, 2.0]], dtype=torch.float64)
        u_nom = torch.tensor([[1.0, 0.0], [3.0, 2.0]], dtype=torch.float64, requires_grad=True)
        solution = solve_qp(G, b, u_nom, WEIGHTS, backend)
        assert solution.active.tolist() == [[-1, -1], [0, -1]]
        jacobian = torch.stack(
            [torch.autograd.grad(solution.u[:, k].sum(), u_nom, retain_graph=True)[0] for k in (0, 1)]
        )
        assert jacobian[:, 0].tolist() == [[1.0, 0.0], [0.0, 1.0]]
        assert jacobian[:, 1].tolist() == [[0.0, 0.0], [0.0, 1.0]]

    def test_gradcheck(self, backend: str) -> None:
        inputs = tensors(random_problems(np.random.default_rng(3), 12, 5, thin=-0.1))
        assert torch.autograd.gradcheck(
            lambda *x: solve_qp(*x, WEIGHTS, backend).u, inputs, eps=1e-7, atol=1e-4
        )


class TestSameGradient:
    @pytest.mark.parametrize("family", [random_problems, scaled_problems])
    def test_compiled_and_torch_agree(self, family) -> None:
        problems = family(np.random.default_rng(4), 5000)
        upstream = torch.randn(5000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        results = []
        for backend in BACKENDS:
            inputs = tensors(problems)
            solution = solve_qp(*inputs, WEIGHTS, backend)
            results.append((solution, torch.autograd.grad(solution.u, inputs, upstream)))
        (ours, compiled), (other, plain) = results
        active = np.sort(ours.active.numpy(), 1)
        same = (active == np.sort(other.active.numpy(), 1)).all(1)
        assert same.mean() > 0.999
        same &= sharpness(problems, active) > 1e-3
        for x, y in zip(compiled, plain, strict=True):
            size = x.abs().reshape(5000, -1).amax(1).clamp(min=1e-300)
            gap = (x - y).abs().reshape(5000, -1).amax(1) / size
            assert gap[torch.from_numpy(same)].max() < 1e-8

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_float32_gradient_is_the_float64_one_rounded(self, backend: str) -> None:
        single = Problems(*(x.astype(np.float32) for x in random_problems(np.random.default_rng(5), 3000)))
        results = []
        for dtype in (torch.float32, torch.float64):
            inputs = tensors(single, dtype)
            solution = solve_qp(*inputs, WEIGHTS, backend)
            results.append((solution.active.numpy(), torch.autograd.grad(solution.u.sum(), inputs)))
        same = (results[0][0] == results[1][0]).all(1) & (sharpness(single, np.sort(results[0][0], 1)) > 0.02)
        assert same.mean() > 0.9
        for x, y in zip(results[0][1], results[1][1], strict=True):
            assert x.dtype == torch.float32
            np.testing.assert_allclose(x.numpy()[same], y.numpy()[same], rtol=2e-3, atol=1e-3)

    def test_qpth_agrees_where_the_problem_is_regular(self) -> None:
        problems = random_problems(np.random.default_rng(6), 300, 6, thin=-0.3)
        _, _, active = solve(problems, "compiled")
        results = []
        for backend in ("compiled", "qpth"):
            inputs = tensors(problems)
            results.append(torch.autograd.grad(solve_qp(*inputs, WEIGHTS, backend).u.sum(), inputs))
        regular = sharpness(problems, active) > 0.2
        for x, y in zip(*results, strict=True):
            gap = np.abs((x - y).numpy()).reshape(300, -1).max(1)
            assert np.quantile(gap[regular], 0.95) < 1e-3


@pytest.mark.parametrize("backend", BACKENDS)
class TestNoGradient:
    def test_infeasible_problems_have_zero_gradient_and_disturb_no_other(self, backend: str) -> None:
        problems = random_problems(np.random.default_rng(7), 60, 6, thin=-0.1)
        problems.g[::3, 1] = -problems.g[::3, 0]
        problems.b[::3, 1] = -problems.b[::3, 0] - 1.0
        inputs = tensors(problems)
        solution = solve_qp(*inputs, WEIGHTS, backend)
        assert (solution.status[::3] == 1).all() and (solution.u[::3] == 0).all()
        alone = [x.detach()[1::3].clone().requires_grad_() for x in inputs]
        grads = torch.autograd.grad(solution.u.sum(), inputs)
        apart = torch.autograd.grad(solve_qp(*alone, WEIGHTS, backend).u.sum(), alone)
        for grad, other in zip(grads, apart, strict=True):
            assert (grad[::3] == 0).all()
            torch.testing.assert_close(grad[1::3], other)

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_data_that_is_not_finite_gives_zero_and_no_nan_elsewhere(
        self, backend: str, bad: float, place: int
    ) -> None:
        problems = random_problems(np.random.default_rng(8), 20, 6, thin=-0.1)
        problems[place].reshape(20, -1)[::4, -1] = bad
        inputs = tensors(problems)
        solution = solve_qp(*inputs, WEIGHTS, backend)
        grads = torch.autograd.grad(solution.u.sum(), inputs)
        assert torch.isfinite(solution.u).all()
        assert all(torch.isfinite(g).all() for g in grads)
        if not (place == 1 and bad > 0):
            assert (solution.status[::4] == 1).all() and all((g[::4] == 0).all() for g in grads)
        assert (solution.status[1::4] == 0).all()

    def test_degenerate_problems_have_finite_gradients(self, backend: str) -> None:
        inputs = tensors(integer_problems(np.random.default_rng(9), 3000, 12))
        grads = torch.autograd.grad(solve_qp(*inputs, WEIGHTS, backend).u.sum(), inputs)
        assert all(torch.isfinite(g).all() for g in grads)
