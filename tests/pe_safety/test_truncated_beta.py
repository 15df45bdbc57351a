"""Truncated Beta densities: normaliser, moments and gradients against numerical integration; the layer in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from pe_safety import beta_layer
from pe_safety.polygon import INFLATION, VERTICES_MAX, Box, Polygons, polygons
from pe_safety.truncated_beta import evaluate, log_mass, polygammas
from tests.support.safe_sets import (
    BOX,
    FAMILIES,
    Array,
    commands_rows,
    problems,
    random_parameters,
    reference,
    unit_rows,
)

CENTRE = np.array([[0.5, 0.5]])
# Relative error of pi(C), absolute error of E[log .] (per its own size) that the quadrature stays within.
MASS_ERROR, MOMENT_ERROR = 2e-5, 5e-5


def squares(n: int) -> Polygons:
    return polygons(np.zeros((n, 1, 2)), np.zeros((n, 1)), BOX)


def values_at(parameters: Array, found: Polygons, x: Array = CENTRE) -> tuple[Array, Array, Array, Array]:
    """log I, E[T], E[r], cov(r, T), taken apart from log pi, H and gradients."""
    x = np.tile(x, (len(parameters), 1))
    values = evaluate(parameters, x, found)
    logs = np.stack([np.log(x[:, 0]), np.log1p(-x[:, 0]), np.log(x[:, 1]), np.log1p(-x[:, 1])], axis=1)
    log_integral = ((parameters - 1.0) * logs).sum(axis=1) - values.log_prob
    return log_integral, logs - values.grad_log_prob, log_integral - values.entropy, -values.grad_entropy


def tensors(parameters: Array, x: Array, found: Polygons) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(np.array(v)) for v in (parameters, x, found.vertices, found.counts))


def test_polygammas() -> None:
    x = np.concatenate([[1.0, 2.0, 7.999, 8.0], 10.0 ** np.random.default_rng(0).uniform(0.0, 4.0, 200)])
    ours = np.array([polygammas(v) for v in x]).T
    for mine, theirs in zip(
        ours, (special.gammaln(x), special.digamma(x), special.polygamma(1, x)), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=3e-12, atol=3e-12)


class TestWholeBox:
    def test_is_the_product_of_two_beta_densities(self) -> None:
        rng = np.random.default_rng(1)
        parameters, x = random_parameters(rng, 200), rng.uniform(0.01, 0.99, (200, 2))
        values = evaluate(parameters, x, squares(200))
        axes = [stats.beta(parameters[:, 2 * k], parameters[:, 2 * k + 1]) for k in range(2)]
        expected = axes[0].logpdf(x[:, 0]) + axes[1].logpdf(x[:, 1])
        np.testing.assert_allclose(values.log_prob, expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            values.entropy, axes[0].entropy() + axes[1].entropy(), rtol=1e-9, atol=1e-9
        )
        assert (log_mass(parameters, squares(200)) == 0.0).all()

    def test_closed_form_and_quadrature_agree(self) -> None:
        """A row that cuts off 1e-9 of a corner makes the same density go through the quadrature."""
        parameters = random_parameters(np.random.default_rng(2), 300)
        root = np.sqrt(0.5)
        row = np.array([[[root, root]]] * 300), np.full((300, 1), 2.0 * root - 1e-9)
        cut = polygons(*commands_rows(*row), BOX)
        assert (cut.counts == 5).all()
        for mine, theirs in zip(values_at(parameters, cut), values_at(parameters, squares(300)), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=MOMENT_ERROR, atol=2e-4)


@pytest.mark.parametrize("most", [3.0, 30.0, 100.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_moments_against_half_planes_integrated(family: str, most: float) -> None:
    n = 12
    a, c, found = problems(family, int(most), n)
    parameters = random_parameters(np.random.default_rng(3), n, most)
    ours = values_at(parameters, found)
    for k in range(n):
        log_integral, mean, mean_r, cov = reference(
            a[k], c[k], found.vertices[k, : found.counts[k]], parameters[k]
        )
        assert ours[0][k] == pytest.approx(log_integral, abs=MASS_ERROR)
        np.testing.assert_allclose(ours[1][k], mean, rtol=MOMENT_ERROR, atol=1e-9)
        assert ours[2][k] == pytest.approx(mean_r, rel=MOMENT_ERROR, abs=MOMENT_ERROR)
        np.testing.assert_allclose(ours[3][k], cov, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize(
    ("a1", "b1", "a2", "b2"), [(2.0, 3.0, 1.5, 4.0), (20.0, 8.0, 50.0, 40.0), (1.1, 1.2, 90.0, 3.0)]
)
def test_mass_against_scipy(a1: float, b1: float, a2: float, b2: float) -> None:
    """pi(C) for x / 2 + y <= 0.8: a line's incomplete beta function, integrated by an adaptive rule."""
    norm = np.hypot(0.5, 1.0)
    a, c = np.array([[[0.5, 1.0]]]) / norm, np.array([[0.8]]) / norm
    mass = log_mass(np.array([[a1, b1, a2, b2]]), polygons(*commands_rows(a, c), BOX))[0]

    def integrand(x: float) -> float:
        upper = min(max(0.8 + INFLATION * norm - 0.5 * x, 0.0), 1.0)
        return float(stats.beta.pdf(x, a1, b1) * special.betainc(a2, b2, upper))

    expected, _ = integrate.quad(integrand, 0.0, 1.0, epsabs=0.0, epsrel=1e-9, limit=500)
    assert np.exp(mass) == pytest.approx(expected, rel=MASS_ERROR)


@pytest.mark.parametrize("family", FAMILIES)
def test_density_integrates_to_one(family: str) -> None:
    """exp(log pi) over the polygon, by the reference's rule."""
    n = 6
    a, c, found = problems(family, 5, n)
    parameters = random_parameters(np.random.default_rng(6), n, 50.0)
    for k in range(n):
        log_integral, _, _, _ = reference(a[k], c[k], found.vertices[k, : found.counts[k]], parameters[k])
        x = found.vertices[k, : found.counts[k]].mean(axis=0)
        logs = np.array([np.log(x[0]), np.log1p(-x[0]), np.log(x[1]), np.log1p(-x[1])])
        one = Polygons(found.vertices[k : k + 1], found.counts[k : k + 1])
        log_prob = evaluate(parameters[k : k + 1], x[None], one).log_prob[0]
        # The density is a multiple of exp((theta - 1) . T); its integral is the multiple times I.
        assert log_prob - (parameters[k] - 1.0) @ logs + log_integral == pytest.approx(0.0, abs=MASS_ERROR)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(FAMILIES))
def test_any_set_and_parameters_give_finite_values(seed: int, family: str) -> None:
    """Also far beyond the parameters that policies have, and exactly 1."""
    rng = np.random.default_rng(seed)
    _, _, found = problems(family, seed % 1000, 20)
    parameters = 1.0 + 10.0 ** rng.uniform(-12.0, 4.0, (20, 4)) * rng.integers(0, 2, (20, 4))
    values = evaluate(parameters, np.full((20, 2), 0.5), found)
    assert all(np.isfinite(v).all() for v in values)
    # E[log .] lies between the logarithms of the polygon's extremes.
    for k in range(20):
        points = found.vertices[k, : found.counts[k]]
        for axis in range(2):
            with np.errstate(divide="ignore"):
                low, high = np.log([points[:, axis].min(), points[:, axis].max()])
            mean = np.log(0.5) - values.grad_log_prob[k, 2 * axis]
            assert low - 1e-9 <= mean <= high + 1e-9
    assert (log_mass(parameters, found) <= 1e-4).all()


class TestGradient:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_finite_differences(self, family: str) -> None:
        """Of log pi and of the entropy, in each parameter."""
        n, step = 40, 1e-4
        _, _, found = problems(family, 7, n)
        parameters = random_parameters(np.random.default_rng(8), n) + step
        x = found.vertices[np.arange(n), 0] * 0.5 + found.vertices[np.arange(n), 1] * 0.5
        x = np.clip(x, 1e-3, 1 - 1e-3)
        values = evaluate(parameters, x, found)
        for i in range(4):
            shift = step * np.eye(4)[i]
            up, down = evaluate(parameters + shift, x, found), evaluate(parameters - shift, x, found)
            slope = (up.log_prob - down.log_prob) / (2 * step)
            np.testing.assert_allclose(slope, values.grad_log_prob[:, i], rtol=2e-3, atol=2e-3)
            slope = (up.entropy - down.entropy) / (2 * step)
            np.testing.assert_allclose(slope, values.grad_entropy[:, i], rtol=1e-2, atol=1e-2)

    def test_layer(self) -> None:
        _, _, found = problems("few rows", 9, 12)
        parameters = random_parameters(np.random.default_rng(10), 12, 10.0)
        inputs = tensors(parameters, np.full((12, 2), 0.4), found)
        theta = inputs[0].requires_grad_()
        value = beta_layer.evaluate(*inputs)
        (2.0 * value.log_prob.sum() + 3.0 * value.entropy.sum()).backward()
        expected = evaluate(parameters, np.full((12, 2), 0.4), found)
        grad = 2.0 * expected.grad_log_prob + 3.0 * expected.grad_entropy
        np.testing.assert_allclose(theta.grad.numpy(), grad, rtol=1e-14)
        assert torch.autograd.gradcheck(
            lambda p: beta_layer.evaluate(p, *inputs[1:]), (theta,), eps=1e-5, atol=1e-3, rtol=1e-3
        )

    def test_through_a_network_in_single_precision(self) -> None:
        torch.manual_seed(0)
        _, _, found = problems("one row", 11, 64)
        net = torch.nn.Linear(3, 4)
        parameters = beta_layer.beta_parameters(net(torch.randn(64, 3)))
        assert parameters.min() >= 1.0
        x = torch.from_numpy(np.full((64, 2), 0.5, dtype=np.float32))
        value = beta_layer.evaluate(
            parameters, x, torch.from_numpy(found.vertices), torch.from_numpy(found.counts)
        )
        assert value.log_prob.dtype == value.entropy.dtype == torch.float32
        value.log_prob.sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


class TestContract:
    def test_log_prob_of_commands_is_a_density_of_commands(self) -> None:
        a, c = unit_rows("one row", np.random.default_rng(12), 5)
        g, b = commands_rows(a, c)
        found = polygons(g, b, BOX)
        parameters = torch.from_numpy(random_parameters(np.random.default_rng(13), 5)).requires_grad_()
        u = torch.tensor([[0.1, 0.2]], dtype=torch.float64).expand(5, 2)
        ours = beta_layer.log_prob(u, parameters, torch.from_numpy(g), torch.from_numpy(b), BOX)
        expected = evaluate(parameters.detach().numpy(), BOX.unit(u.numpy()), found).log_prob
        np.testing.assert_allclose(ours.detach(), expected - np.log(1.5 * 5.68), rtol=1e-12)
        ours.sum().backward()
        assert torch.isfinite(parameters.grad).all()

    def test_an_empty_set_teaches_nothing(self) -> None:
        g, b = np.array([[[1.0, 0.0]], [[1.0, 0.0]]]), np.array([[-1.0], [0.0]])
        parameters = torch.full((2, 4), 2.0, dtype=torch.float64, requires_grad=True)
        u = torch.zeros((2, 2), dtype=torch.float64)
        ours = beta_layer.log_prob(
            u, parameters, torch.from_numpy(g), torch.from_numpy(b), Box(-0.5, 1.0, 2.84)
        )
        ours.sum().backward()
        assert ours[0] == 0.0 and ours[1] != 0.0
        assert (parameters.grad[0] == 0.0).all() and (parameters.grad[1] != 0.0).any()
        empty = Polygons(np.zeros((1, VERTICES_MAX, 2)), np.zeros(1, np.int8))
        assert log_mass(np.full((1, 4), 2.0), empty)[0] == -np.inf

    def test_a_value_does_not_depend_on_its_batch(self) -> None:
        _, _, found = problems("many rows", 14, 50)
        parameters = random_parameters(np.random.default_rng(15), 50)
        x = np.full((50, 2), 0.5)
        batch = evaluate(parameters, x, found)
        for k in range(50):
            alone = evaluate(
                parameters[k : k + 1], x[:1], Polygons(found.vertices[k : k + 1], found.counts[k : k + 1])
            )
            assert all(np.array_equal(one[0], many[k]) for one, many in zip(alone, batch, strict=True))

    @pytest.mark.parametrize("value", [np.nan, np.inf, 0.99, -1.0])
    def test_parameters_are_refused(self, value: float) -> None:
        parameters = np.full((3, 4), 2.0)
        parameters[1, 2] = value
        with pytest.raises(ValueError, match="problem 1: Beta parameters must be finite and at least 1"):
            evaluate(parameters, np.full((3, 2), 0.5), squares(3))
        with pytest.raises(ValueError, match="problem 1"):
            beta_layer.evaluate(*tensors(parameters, np.full((3, 2), 0.5), squares(3)))
        with pytest.raises(ValueError, match="problem 1"):
            log_mass(parameters, squares(3))

    def test_shapes_types_and_points_are_refused(self) -> None:
        parameters, x, found = np.full((3, 4), 2.0), np.full((3, 2), 0.5), squares(3)
        with pytest.raises(ValueError, match="expected"):
            evaluate(parameters[:2], x, found)
        with pytest.raises(ValueError, match="expected"):
            evaluate(parameters, x[:2], found)
        x[2, 1] = np.nan
        with pytest.raises(ValueError, match="problem 2: the point is NaN"):
            evaluate(parameters, x, found)
        theta, points, vertices, count = tensors(parameters, np.full((3, 2), 0.5), found)
        with pytest.raises(TypeError, match="float32"):
            beta_layer.evaluate(theta.half(), points, vertices, count)
        with pytest.raises(TypeError, match="int8"):
            beta_layer.evaluate(theta, points, vertices, count.long())
        with pytest.raises(ValueError, match="expected"):
            beta_layer.evaluate(theta, points, vertices[:, :, 0], count)
        rows = torch.full((3, 2, 2), torch.nan, dtype=torch.float64)
        with pytest.raises(ValueError, match="G must be finite"):
            beta_layer.log_prob(points, theta, rows, torch.ones((3, 2), dtype=torch.float64), BOX)
