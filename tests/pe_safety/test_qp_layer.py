"""The QP as a layer: the same answer compiled, in torch and scripted; its contract; the named unit tests."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pe_safety import qp
from pe_safety.qp_layer import BACKENDS, solve_qp
from pe_safety.qp_torch import solve_qp_torch
from tests.support.qp_problems import (
    WEIGHTS,
    Problems,
    integer_problems,
    parallel_problems,
    random_problems,
    scaled_problems,
)

SCRIPTED = torch.jit.script(solve_qp_torch)


def as_tensors(problems: Problems, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    G, b, u_nom = (torch.tensor(x, dtype=dtype) for x in problems)
    return G, b, u_nom


class Policy(nn.Module):
    """A network whose output passes the QP, as it is exported."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
        self.register_buffer("weights", torch.tensor([150.0, 1.0]))

    def forward(self, x: Tensor, G: Tensor, b: Tensor) -> Tensor:
        u, _status, _active = solve_qp_torch(G, b, self.net(x), self.weights)
        return u


class TestSameAnswer:
    @pytest.mark.parametrize(
        "family", [random_problems, parallel_problems, scaled_problems, integer_problems]
    )
    @pytest.mark.parametrize("m", [1, 4, 12])
    def test_compiled_torch_and_scripted(self, family, m: int) -> None:
        problems = family(np.random.default_rng(m), 3000, m)
        inputs = as_tensors(problems)
        ours = solve_qp(*inputs, WEIGHTS)
        plain = solve_qp(*inputs, WEIGHTS, "torch")
        scripted = SCRIPTED(*inputs, torch.tensor(WEIGHTS))
        for x, y in zip(plain, scripted, strict=True):
            assert x.dtype == y.dtype and torch.equal(x, y)
        assert torch.equal(ours.status, plain.status)
        assert ours.active.dtype == plain.active.dtype == torch.int16
        size = torch.maximum(ours.u.abs().amax(1), inputs[2].abs().amax(1))
        # Sharp vertices far away move by rounding times their condition.
        near = (ours.u.abs().amax(1) < 100 * inputs[2].abs().amax(1) + 1e-300) | (ours.status == 1)
        assert near.double().mean() > 0.98
        gap = (ours.u - plain.u).abs().amax(1) / size.clamp(min=1e-300)
        assert gap[near].max() <= 1e-8

    def test_float32_is_solved_in_float64_and_rounded_once(self) -> None:
        problems = random_problems(np.random.default_rng(2), 4000)
        single = as_tensors(problems, torch.float32)
        double = tuple(x.double() for x in single)
        for backend in BACKENDS:
            a, b = solve_qp(*single, WEIGHTS, backend), solve_qp(*double, WEIGHTS, backend)
            assert a.u.dtype == torch.float32
            assert torch.equal(a.u, b.u.float()) and torch.equal(a.status, b.status)

    def test_a_scripted_module_survives_saving_and_trains(self) -> None:
        torch.manual_seed(0)
        policy = Policy()
        buffer = io.BytesIO()
        torch.jit.save(torch.jit.script(policy), buffer)
        buffer.seek(0)
        loaded = torch.jit.load(buffer)
        G, b, _ = as_tensors(random_problems(np.random.default_rng(3), 64, 8, thin=-0.05), torch.float32)
        for _ in range(4):  # the executor of TorchScript optimises after some calls
            x = torch.randn(64, 4)
            assert torch.equal(loaded(x, G, b), policy(x, G, b))
        loaded(x, G, b).square().sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in loaded.parameters())
        assert any(p.grad.abs().max() > 0 for p in loaded.parameters())

    def test_scalar_and_batch_agree_bit_for_bit(self) -> None:
        problems = random_problems(np.random.default_rng(4), 2000)
        batch = solve_qp(*as_tensors(problems), WEIGHTS)
        for k, (g, b, p) in enumerate(zip(*problems, strict=True)):
            v, w, status, i, j, _ = qp.solve(g, b, p[0], p[1], 150.0, 1.0)
            assert (v, w) == tuple(batch.u[k].tolist()) and status == batch.status[k]
            assert status == 1 or [i, j] == batch.active[k].tolist()


@pytest.mark.parametrize("backend", BACKENDS)
class TestContract:
    def test_leading_shapes(self, backend: str) -> None:
        G, b, u_nom = as_tensors(random_problems(np.random.default_rng(5), 24, 7))
        flat = solve_qp(G, b, u_nom, WEIGHTS, backend)
        deep = solve_qp(G.view(2, 3, 4, 7, 2), b.view(2, 3, 4, 7), u_nom.view(2, 3, 4, 2), WEIGHTS, backend)
        assert torch.equal(flat.u, deep.u.view(24, 2)) and deep.status.shape == (2, 3, 4)
        one = solve_qp(G[0], b[0], u_nom[0], WEIGHTS, backend)
        assert one.u.shape == (2,) and one.status.shape == () and torch.equal(one.u, flat.u[0])

    @pytest.mark.parametrize(("n", "m"), [(0, 5), (5, 0), (0, 0)])
    def test_empty_batches_and_no_rows(self, backend: str, n: int, m: int) -> None:
        u_nom = torch.ones(n, 2, requires_grad=True)
        solution = solve_qp(torch.zeros(n, m, 2), torch.zeros(n, m), u_nom, WEIGHTS, backend)
        assert torch.equal(solution.u, u_nom) and solution.status.shape == (n,)
        solution.u.sum().backward()
        assert torch.equal(u_nom.grad, torch.ones(n, 2))

    def test_tensors_that_are_not_contiguous(self, backend: str) -> None:
        G, b, u_nom = as_tensors(random_problems(np.random.default_rng(6), 50, 6))
        views = (G.transpose(0, 2).contiguous().transpose(0, 2), b.T.contiguous().T, u_nom.T.contiguous().T)
        assert not views[0].is_contiguous()
        for x in views:
            x.requires_grad_()
        solution = solve_qp(*views, WEIGHTS, backend)
        assert torch.equal(solution.u, solve_qp(G, b, u_nom, WEIGHTS, backend).u)
        assert torch.isfinite(torch.autograd.grad(solution.u.sum(), views)[0]).all()

    def test_inputs_stay_as_they_are(self, backend: str) -> None:
        inputs = as_tensors(random_problems(np.random.default_rng(7), 50, 6))
        copies = [x.clone() for x in inputs]
        solve_qp(*inputs, WEIGHTS, backend)
        assert all(torch.equal(x, y) for x, y in zip(inputs, copies, strict=True))

    def test_what_is_refused(self, backend: str) -> None:
        G, b, u = torch.zeros(3, 4, 2), torch.zeros(3, 4), torch.zeros(3, 2)
        with pytest.raises(ValueError, match="expected"):
            solve_qp(G, b[:, :3], u, WEIGHTS, backend)
        with pytest.raises(ValueError, match="expected"):
            solve_qp(G, b, u[:2], WEIGHTS, backend)
        with pytest.raises(TypeError, match="float32"):
            solve_qp(G, b.double(), u, WEIGHTS, backend)
        with pytest.raises(TypeError, match="float32"):
            solve_qp(G.half(), b.half(), u.half(), WEIGHTS, backend)
        for weights in ([1.0], [1.0, 0.0], [1.0, float("nan")]):
            with pytest.raises(ValueError, match="positive"):
                solve_qp(G, b, u, weights, backend)

    def test_an_unknown_back_end_is_named_with_those_known(self, backend: str) -> None:
        with pytest.raises(ValueError, match=f"unknown back end 'gurobi'; known: .*{backend}"):
            solve_qp(torch.zeros(1, 1, 2), torch.zeros(1, 1), torch.zeros(1, 2), WEIGHTS, "gurobi")

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_tensors_on_a_gpu(self, backend: str) -> None:
        inputs = as_tensors(random_problems(np.random.default_rng(8), 500))
        there = [x.cuda().requires_grad_() for x in inputs]
        solution = solve_qp(*there, WEIGHTS, backend)
        torch.testing.assert_close(solution.u.cpu(), solve_qp(*inputs, WEIGHTS, backend).u)
        solution.u.sum().backward()
        assert torch.isfinite(there[0].grad).all()


@pytest.mark.parametrize("backend", ["osqp", "qpth", "quadprog"])
def test_reference_back_ends_answer_the_same_call(backend: str) -> None:
    inputs = as_tensors(random_problems(np.random.default_rng(9), 60, 8, thin=-0.3))
    ours, theirs = solve_qp(*inputs, WEIGHTS), solve_qp(*inputs, WEIGHTS, backend)
    solved = theirs.status == 0
    assert solved.sum() >= 57
    torch.testing.assert_close(theirs.u[solved], ours.u[solved], atol=1e-4, rtol=1e-4)


def box_and_row(n: int) -> tuple[Tensor, Tensor]:
    """0 <= v <= 1, |omega| <= 2.84 and v + 0.1 omega <= 0.5."""
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 0.1]], dtype=torch.float64)
    return rows.repeat(n, 1, 1), torch.tensor([1.0, 0.0, 2.84, 2.84, 0.5], dtype=torch.float64).repeat(n, 1)


@pytest.mark.parametrize("backend", BACKENDS)
class TestByName:
    """UT-01 to UT-07 as the specification numbers them."""

    def commands(self, n: int) -> Tensor:
        spread = torch.tensor([1.0, 4.0], dtype=torch.float64)
        return torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * spread

    def test_ut01_safe_action_unchanged(self, backend: str) -> None:
        G, b = box_and_row(1)
        u_nom = torch.tensor([[0.3, 0.5]], dtype=torch.float64)
        solution = solve_qp(G, b, u_nom, WEIGHTS, backend)
        assert torch.equal(solution.u, u_nom) and solution.active.tolist() == [[-1, -1]]

    def test_ut02_unsafe_action_corrected(self, backend: str) -> None:
        G, b = box_and_row(1000)
        u_nom = self.commands(1000)
        solution = solve_qp(G, b, u_nom, WEIGHTS, backend)
        assert (solution.status == 0).all()
        assert ((G @ solution.u.unsqueeze(2)).squeeze(2) - b).max() <= 1e-9
        assert not torch.equal(solution.u, u_nom)

    def test_ut03_ut04_gradient_reaches_the_nominal_action_with_a_sane_norm(self, backend: str) -> None:
        G, b = box_and_row(1000)
        u_nom = self.commands(1000).requires_grad_()
        solution = solve_qp(G, b, u_nom, WEIGHTS, backend)
        solution.u.square().sum().backward()
        assert u_nom.grad is not None
        free = (solution.active[:, 1] < 0) & (solution.u.detach().abs().amin(1) > 1e-3)
        norm = u_nom.grad[free].norm(dim=1)
        assert free.sum() > 100
        assert norm.min() >= 1e-6 and norm.max() <= 1e3

    def test_ut06_bounds_kept(self, backend: str) -> None:
        G, b = box_and_row(1000)
        u = solve_qp(G, b, 1e3 * self.commands(1000), WEIGHTS, backend).u
        assert u[:, 0].min() >= -1e-12 and u[:, 0].max() <= 1 + 1e-12 and u[:, 1].abs().max() <= 2.84 + 1e-12

    def test_ut07_batch_equals_loop(self, backend: str) -> None:
        G, b, u_nom = as_tensors(random_problems(np.random.default_rng(10), 200))
        batch = solve_qp(G, b, u_nom, WEIGHTS, backend).u
        loop = torch.cat(
            [solve_qp(G[k : k + 1], b[k : k + 1], u_nom[k : k + 1], WEIGHTS, backend).u for k in range(200)]
        )
        torch.testing.assert_close(batch, loop, atol=1e-12, rtol=1e-12)
