"""The QP in one pass: the compiled answer, on degenerate, infeasible and garbage data, too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pe_safety.qp_layer import solve_qp
from pe_safety.qp_lines import solve_qp_lines
from tests.support.qp_problems import WEIGHTS, integer_problems, parallel_problems, random_problems

WEIGHT = torch.tensor(WEIGHTS)
SCRIPTED = torch.jit.script(solve_qp_lines)


def as_tensors(problems: tuple[np.ndarray, ...]) -> list[Tensor]:
    return [torch.from_numpy(x) for x in problems]


@pytest.mark.parametrize("family", [random_problems, parallel_problems, integer_problems])
@pytest.mark.parametrize("m", [1, 4, 12, 27])
def test_it_gives_the_compiled_answer(family, m: int) -> None:
    G, b, nominal = as_tensors(family(np.random.default_rng(m), 4000, m))
    expected = solve_qp(G, b, nominal, WEIGHTS)
    u, status = solve_qp_lines(G, b, nominal, WEIGHT)
    for x, y in zip((u, status), SCRIPTED(G, b, nominal, WEIGHT), strict=False):
        assert torch.equal(x, y)
    assert torch.equal(status, expected.status)
    # Sharp vertices far away move by rounding times their condition.
    near = expected.u.abs().amax(1) < 100.0
    assert near.double().mean() > 0.98
    assert float((u - expected.u)[near].abs().max()) < 1e-7


def test_rows_that_meet_in_one_point() -> None:
    """All rows through u = 0: the set is a cone, a ray or the point alone."""
    rng = np.random.default_rng(0)
    G = torch.from_numpy(rng.standard_normal((3000, 12, 2)))
    G[::2, 6:] = -G[::2, :6]
    b = torch.zeros(3000, 12, dtype=torch.float64)
    nominal = torch.from_numpy(rng.standard_normal((3000, 2)))
    expected = solve_qp(G, b, nominal, WEIGHTS)
    u, status = solve_qp_lines(G, b, nominal, WEIGHT)
    assert not status.any()
    assert float((u - expected.u).abs().max()) < 1e-7


def test_an_empty_batch_and_no_rows() -> None:
    for n, m in ((0, 5), (5, 0), (0, 0)):
        u_nom = torch.ones(n, 2)
        u, status = solve_qp_lines(torch.zeros(n, m, 2), torch.zeros(n, m), u_nom, WEIGHT)
        assert torch.equal(u, u_nom) and status.shape == (n,)


def test_data_that_is_not_finite_is_infeasible_and_stays_alone() -> None:
    G, b, nominal = as_tensors(random_problems(np.random.default_rng(1), 8, 6))
    expected, status = solve_qp_lines(G, b, nominal, WEIGHT)
    nan, infinity = float("nan"), float("inf")
    G[0, 2, 0], G[1, 3, 1], b[2, 1], b[3, 4] = nan, infinity, nan, -infinity
    nominal[4, 0], nominal[5, 1] = nan, -infinity
    u, bad = solve_qp_lines(G, b, nominal, WEIGHT)
    assert bad[:6].tolist() == [1] * 6 and not u[:6].any()
    torch.testing.assert_close(u[6:], expected[6:], atol=1e-12, rtol=0.0)
    assert torch.equal(bad[6:], status[6:])


def test_a_row_at_infinity_never_binds() -> None:
    G, b, nominal = as_tensors(random_problems(np.random.default_rng(2), 500, 6))
    more = torch.cat([G, torch.from_numpy(np.random.default_rng(3).standard_normal((500, 3, 2)))], 1)
    more[:, 6] = 0.0
    far = torch.cat([b, torch.full((500, 3), float("inf"), dtype=torch.float64)], 1)
    u, status = solve_qp_lines(more, far, nominal, WEIGHT)
    expected, usual = solve_qp_lines(G, b, nominal, WEIGHT)
    assert torch.equal(status, usual)
    torch.testing.assert_close(u, expected, atol=1e-12, rtol=0.0)
