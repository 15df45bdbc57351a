"""Rows that are shared out among threads give what they give in one, to the bit."""

from __future__ import annotations

import os
import threading
import warnings

import numpy as np
import pytest
import torch

from pe_safety import beta_layer
from pe_safety.beta_sampling import draw_keys, sample
from pe_safety.polygon import Box, polygons
from pe_safety.shares import LEAST, in_shares
from pe_safety.truncated_beta import evaluate
from tests.support.safe_sets import BOX, commands_rows, random_parameters, unit_rows


@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 1000])
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_shares_are_all_rows_once_and_in_order(n: int, threads: int) -> None:
    shares = in_shares(lambda first, end: (first, end), n, threads, least=1)
    assert shares[0][0] == 0 and shares[-1][1] == n and len(shares) == max(min(threads, n), 1)
    assert all(before[1] == after[0] for before, after in zip(shares, shares[1:], strict=False))


def test_few_rows_stay_with_the_caller() -> None:
    for n, most in ((2 * LEAST - 1, 1), (2 * LEAST, 2)):
        names = in_shares(lambda first, end: threading.current_thread().name, n, 2)
        assert len(names) == most and names[0] == threading.current_thread().name


@pytest.mark.parametrize("n", [1, 2, 5, 700])
def test_values_draws_and_polygons_do_not_depend_on_the_threads(n: int) -> None:
    rows = commands_rows(*unit_rows("few rows", np.random.default_rng(3), n))
    parameters = random_parameters(np.random.default_rng(4), n)
    results = []
    for threads in (1, 2, 3):
        found = polygons(*rows, BOX, threads)
        x = sample(parameters, found, draw_keys(5, 0, n), threads)
        results.append([*found, x, *evaluate(parameters, x, found, threads)])
    for other in results[1:]:
        assert all(np.array_equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_the_layer_takes_as_many_threads_as_torch_has() -> None:
    n = 400
    rows = commands_rows(*unit_rows("few rows", np.random.default_rng(6), n))
    found = polygons(*rows, BOX)
    theta = torch.from_numpy(random_parameters(np.random.default_rng(7), n)).requires_grad_()
    x = torch.full((n, 2), 0.4, dtype=torch.float64)
    before, gradients = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            value = beta_layer.evaluate(theta, x, *(torch.from_numpy(each) for each in found))
            gradients.append(torch.autograd.grad(value.log_prob.sum() + value.entropy.sum(), theta)[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(gradients[0], gradients[1]) and torch.equal(gradients[0], gradients[2])


def test_what_goes_wrong_in_a_share_is_said_of_the_whole() -> None:
    g, b = np.ones((300, 1, 2)), np.ones((300, 1))
    g[[290, 200]] = np.nan
    with pytest.raises(ValueError, match="problem 200:"):
        polygons(g, b, Box(0.0, 1.0, 1.0), 3)

    def fails(first: int, end: int) -> None:
        if first > 0:
            raise RuntimeError(f"rows from {first}")

    with pytest.raises(RuntimeError, match="rows from 100"):
        in_shares(fails, 300, 3)
    with pytest.raises(ValueError, match="threads = 0: allowed: at least 1"):
        in_shares(fails, 300, 0)


def test_a_forked_process_makes_threads_of_its_own() -> None:
    in_shares(lambda first, end: end, 300, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os._exit(in_shares(lambda first, end: 7, 300, 2)[1])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
