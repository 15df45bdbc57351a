"""BarrierNet: its rows are the filter's, the filter corrects nothing, it learns, it is a policy like any other."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pe_core.arena import Arena, load_arena
from pe_core.bundle import load_bundle, save_bundle
from pe_core.observation import NAMES, SIZE
from pe_core.scenario import Scenario, sample_layout
from pe_safety.barrier_net import (
    BOUNDS,
    BarrierNet,
    ObservationRows,
    action_weights,
    rows_of_observation,
    shared_budgets,
)
from pe_safety.closed_loop import INFEASIBLE, INTERVENTIONS, Games
from pe_safety.filter import SafetyFilter, Tier
from pe_safety.qp_layer import solve_qp
from pe_safety.qp_lines import scale_of, solve_rows
from pe_safety.rows_torch import rows_of_poses
from tests.support.observed_states import PARAMETERS, Observed, observe, observed_states, over_the_line
from tests.support.safety_states import DT, ROBOT

WEIGHTS = action_weights()
GAMMA = PARAMETERS.gamma


SCALE = 0.22
ROBOTS = {
    "reference": ROBOT,
    "reversing": dataclasses.replace(ROBOT, v_min=-0.4),
    "small": dataclasses.replace(
        ROBOT, v_max=SCALE, radius=SCALE * ROBOT.radius, vcp_offset=SCALE * ROBOT.vcp_offset
    ),
}


@cache
def states(name: str = "reference") -> Observed:
    return observed_states(1, 2400 if name == "reference" else 800, ROBOTS[name])


def mlp(outputs: int = 2, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(SIZE, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, outputs)
    )


class Given(nn.Module):
    """Asks for what it was given."""

    def __init__(self, nominal: Tensor) -> None:
        super().__init__()
        self.register_buffer("nominal", nominal)

    def forward(self, observation: Tensor) -> Tensor:
        return self.nominal


def projected(observed: Observed, dtype: torch.dtype) -> np.ndarray:
    """What a BarrierNet makes of the nominal actions."""
    robot = observed.robot
    asked = Given(torch.tensor(observed.nominal, dtype=dtype))
    net = BarrierNet(asked, GAMMA, robot.v_max, robot.omega_max, v_min=robot.v_min / robot.v_max).to(dtype)
    return net(torch.tensor(observed.observations, dtype=dtype)).double().numpy()


@cache
def filtered(observed: Observed) -> tuple[np.ndarray, np.ndarray]:
    """The filter's actions (N, 2), and where they come from its exact QP."""
    results = [observed.filtered(k, action) for k, action in enumerate(observed.nominal)]
    actions = np.array([result.command for result in results]) / [
        observed.robot.v_max,
        observed.robot.omega_max,
    ]
    return actions, np.array([result.tier == Tier.EXACT for result in results])


@pytest.mark.parametrize("name", ROBOTS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_it_commands_what_the_filter_commands(name: str, dtype: torch.dtype, tolerance: float) -> None:
    observed = states(name)
    expected, exact = filtered(observed)
    ours = projected(observed, dtype)
    assert exact.mean() > 0.8
    assert (np.abs(expected - observed.nominal).max(1) > 1e-3)[exact].mean() > 0.3
    assert np.abs(ours - expected)[exact].max() < tolerance


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_filter_has_nothing_to_correct(dtype: torch.dtype) -> None:
    observed = states()
    _, exact = filtered(observed)
    for k, action in enumerate(projected(observed, dtype)):
        if exact[k]:
            result = observed.filtered(k, action)
            assert not result.intervened, (k, result)


def test_every_row_is_met_and_standing_still_always_is() -> None:
    observed = states()
    G, b = rows_of_observation(torch.tensor(observed.observations), GAMMA)
    assert float(b.min()) >= 0.0
    u = torch.tensor(projected(observed, torch.float64))
    assert float((torch.einsum("nmk,nk->nm", G, u) - b).max()) < 1e-9


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-3)])
def test_rows_of_poses_have_the_same_solution(dtype: torch.dtype, tolerance: float) -> None:
    observed = states()
    count = len(observed.own)
    models = np.stack([ROBOT.with_speed_ratio(ratio).as_array() for ratio in observed.ratios])
    obstacles = np.full((count, 6, 3), [1e4, 1e4, 0.0])
    for k, arena in enumerate(observed.arenas):
        obstacles[k, : len(arena.obstacles)] = arena.obstacles
    half_side = np.array([arena.half_side for arena in observed.arenas])
    inputs = (observed.own[:, :3], observed.other[:, :3], observed.other[:, 3], half_side, obstacles)
    own_models = np.repeat(ROBOT.as_array()[None], count, 0)
    tensors = [torch.tensor(values, dtype=dtype) for values in (*inputs, own_models, models)]
    G, b = rows_of_poses(*tensors, DT, GAMMA / DT)
    limits = np.array([ROBOT.v_max, ROBOT.omega_max])
    solved = solve_qp(G.double(), b.double(), torch.tensor(observed.nominal * limits), (150.0, 1.0)).u
    expected = torch.tensor(projected(observed, torch.float64) * limits)
    near = (solved - expected).abs().amax(1) < tolerance
    assert G.dtype == dtype and bool(near.all() if dtype == torch.float64 else near.double().mean() > 0.95)


def test_outside_its_safe_set_it_escapes_as_the_filter_does_or_stands_still() -> None:
    observed = over_the_line(4, 400)
    ours = projected(observed, torch.float64)
    escaped, infeasible = 0, 0
    for k, action in enumerate(observed.nominal):
        result = observed.filtered(k, action)
        assert min(result.barriers.values()) < 0.0
        if result.infeasible:
            assert ours[k].tolist() == [0.0, 0.0]
            infeasible += 1
        elif result.tier == Tier.EXACT:
            np.testing.assert_allclose(ours[k], result.command / np.array([1.0, ROBOT.omega_max]), atol=1e-6)
            escaped += 1
    assert escaped > 50 and infeasible > 50


def test_at_another_scale_the_metric_differs_and_the_filter_has_nothing_to_correct() -> None:
    observed = states("small")
    asked = Given(torch.tensor(observed.nominal))
    reference = BarrierNet(asked, GAMMA)(torch.tensor(observed.observations)).numpy()
    _, exact = filtered(observed)
    assert np.abs(reference - projected(observed, torch.float64))[exact].max() > 0.05
    assert not any(observed.filtered(k, reference[k]).intervened for k in np.flatnonzero(exact))


class Steering(nn.Module):
    """Full speed towards (1) or away from (-1) the other robot."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign, self.at = sign, NAMES.index("opponent_x_body")

    def forward(self, observation: Tensor) -> Tensor:
        beta = torch.atan2(self.sign * observation[:, self.at + 1], self.sign * observation[:, self.at])
        return torch.stack([torch.ones_like(beta), 2.0 * beta], 1)


def test_in_whole_games_the_filter_has_nothing_to_correct() -> None:
    robots = (ROBOT, ROBOT.with_speed_ratio(1.2))
    config = dataclasses.replace(load_arena("reference"), obstacle_count=4, half_side=6.0)
    layouts = [sample_layout(Scenario(), config, *robots, 7, episode) for episode in range(30)]
    games = Games(layouts, config, robots, (PARAMETERS, PARAMETERS))
    nets = [
        torch.jit.script(BarrierNet(Steering(sign), GAMMA, robot.v_max))
        for sign, robot in zip((1.0, -1.0), robots, strict=True)
    ]
    for _ in range(400):
        seen = [torch.tensor(games.observe(role), dtype=torch.float32) for role in range(2)]
        actions = torch.stack([net(x) for net, x in zip(nets, seen, strict=True)], 1)
        games.step(actions.double().numpy())
    assert games.captured.sum() > 10 and games.violations.sum() == 0
    assert games.counts[:, :, [INTERVENTIONS, INFEASIBLE]].sum() == 0
    assert games.corrections[:, :, 1].max() < 1e-4


class TestDeferring:
    """A robot in a corner: both walls deny a turn, the filter turns on the spot if it is asked to."""

    def seen(self) -> tuple[np.ndarray, np.ndarray, Arena]:
        arena, keep = Arena(5.0, np.zeros((0, 3))), ROBOT.radius + ROBOT.vcp_offset
        place = 5.0 - keep - ROBOT.vcp_offset * np.sqrt(0.5) - 1e-6
        return np.array([place, place, 0.25 * np.pi, 0.0, 0.0]), np.array([-2.0, 0.0, 0.0, 0.0, 0.0]), arena

    def test_it_asks_the_filter_for_a_turn_that_no_row_allows(self) -> None:
        own, other, arena = self.seen()
        seen = torch.tensor(observe(own, other, arena, ROBOT, ROBOT))[None]
        asked = Given(torch.tensor([[1.5, 0.8]], dtype=torch.float64))
        held = BarrierNet(asked, GAMMA)(seen)[0].numpy()
        assert np.abs(held).max() < 0.01
        deferred = BarrierNet(asked, GAMMA, defers=True)(seen)[0].numpy()
        assert deferred.tolist() == [1.0, 0.8]
        safety = SafetyFilter(PARAMETERS, ROBOT, ROBOT, DT)
        result = safety.step(own, deferred * [1.0, ROBOT.omega_max], other, arena)
        assert result.tier == Tier.BACKUP and result.command[1] > 2.0

    def test_elsewhere_it_changes_nothing(self) -> None:
        observed = states()
        seen, asked = torch.tensor(observed.observations), Given(torch.tensor(observed.nominal))
        plain, deferring = BarrierNet(asked, GAMMA), BarrierNet(asked, GAMMA, defers=True)
        _, exact = filtered(observed)
        held, u = plain(seen), torch.jit.script(deferring)(seen)
        torch.testing.assert_close(u[exact], held[exact], atol=1e-9, rtol=0.0)
        assert float((u - held).abs().max()) > 0.1
        observed = over_the_line(4, 400)
        deferring = BarrierNet(Given(torch.tensor(observed.nominal)), GAMMA, defers=True)
        ours = deferring(torch.tensor(observed.observations))
        for k in range(400):
            if observed.filtered(k, observed.nominal[k]).infeasible:
                assert ours[k].tolist() == np.clip(observed.nominal[k], [0.0, -1.0], 1.0).tolist()


class TestAdaptiveGain:
    def test_rows_become_tighter_and_standing_still_stays_feasible(self) -> None:
        observed = states()
        seen = torch.tensor(observed.observations)
        net = BarrierNet(mlp(3).double(), GAMMA, share_min=0.1)
        nominal, share = net.nominal(seen)
        assert nominal.shape == (len(seen), 2) and share.shape == (len(seen), 1)
        assert bool(((share > 0.1) & (share < 1.0)).all())
        G, b = rows_of_observation(seen, GAMMA)
        tight = torch.cat([b[:, :BOUNDS], shared_budgets(b[:, BOUNDS:], share)], 1)
        assert bool((tight >= 0.0).all() and (tight <= b).all())
        finite = torch.isfinite(b[:, BOUNDS:])
        torch.testing.assert_close(tight[:, BOUNDS:][finite], (share * b[:, BOUNDS:])[finite])
        u = net(seen)
        assert float((torch.einsum("nmk,nk->nm", G, u) - tight).max()) < 1e-9

    def test_a_share_of_one_changes_nothing_and_negative_budgets_stay(self) -> None:
        b = torch.tensor([[0.5, -0.5, float("inf")]])
        assert torch.equal(shared_budgets(b, torch.ones(1, 1)), b)
        share = torch.full((1, 1), 0.5, requires_grad=True)
        out = shared_budgets(b, share)
        assert out.tolist() == [[0.25, -0.5, float("inf")]]
        out[:, :2].sum().backward()
        assert share.grad is not None and share.grad.item() == 0.5


class TestLearning:
    @pytest.mark.parametrize("share_min", [1.0, 0.2])
    def test_every_parameter_gets_a_gradient(self, share_min: float) -> None:
        """IT-02."""
        seen = torch.tensor(states().observations[:256], dtype=torch.float32)
        net = BarrierNet(mlp(2 if share_min == 1.0 else 3), GAMMA, share_min=share_min)
        target = torch.tensor([0.7, 0.3])
        (net(seen) - target).square().mean().backward()
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None and bool(torch.isfinite(parameter.grad).all()), name
            assert float(parameter.grad.abs().max()) > 0.0, name

    def test_the_gradient_is_that_of_the_compiled_qp(self) -> None:
        seen = torch.tensor(states().observations)
        nominal = torch.tensor(states().nominal, requires_grad=True)
        other = nominal.detach().clone().requires_grad_()
        G, b = rows_of_observation(seen, GAMMA)
        direction = torch.tensor([0.3, -0.8], dtype=torch.float64)
        rows = torch.cat([G.permute(2, 1, 0), b.T[None]])
        ours, _, active = solve_rows(rows, nominal.T, scale_of(torch.tensor(WEIGHTS, dtype=torch.float64)))
        ours, active = ours.T, active.T
        (ours * direction).sum().backward()
        compiled = solve_qp(G, b, other, WEIGHTS)
        (compiled.u * direction).sum().backward()
        assert nominal.grad is not None and other.grad is not None
        assert float((ours - compiled.u).abs().max()) < 1e-9
        # Where three rows meet either pair is active, with another derivative of one side each.
        same = (active.sort(1).values == compiled.active.sort(1).values).all(1)
        assert float(same.double().mean()) > 0.9
        torch.testing.assert_close(nominal.grad[same], other.grad[same], atol=1e-9, rtol=1e-9)

    def test_it_learns_towards_what_the_rows_allow(self) -> None:
        seen = torch.tensor(states().observations[:64], dtype=torch.float32)
        net = BarrierNet(mlp(), GAMMA)
        optimiser = torch.optim.Adam(net.parameters(), 3e-3)
        with torch.no_grad():
            target = BarrierNet(mlp(seed=1), GAMMA)(seen)
        losses = []
        for _ in range(40):
            optimiser.zero_grad()
            loss = (net(seen) - target).square().mean()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < 0.5 * losses[0]


class TestExport:
    @pytest.mark.parametrize("share_min", [1.0, 0.2])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_torchscript_equals_eager(self, dtype: torch.dtype, share_min: float) -> None:
        seen = torch.tensor(states().observations[:1000], dtype=dtype)
        net = BarrierNet(mlp(2 if share_min == 1.0 else 3), GAMMA, share_min=share_min).to(dtype).eval()
        scripted = torch.jit.script(net)
        with torch.inference_mode():
            expected = net(seen)
            for _ in range(3):  # the executor specialises after some calls
                assert expected.dtype == dtype
                assert float((scripted(seen) - expected).abs().max()) < 1e-5
            alone = torch.cat([scripted(row[None]) for row in seen[:50]])
            assert float((alone - expected[:50]).abs().max()) < 1e-5

    def test_it_is_a_bundle_like_any_other(self, tmp_path: Path) -> None:
        seen = states().observations
        net = BarrierNet(mlp(), GAMMA)
        save_bundle(
            net, tmp_path / "net", name="net", role="pursuer", kind="barrier_net", dtype="float32", noise_size=0,
            noise_hold=1, dt=0.05, golden_observations=seen[:16], provenance={},
        )  # fmt: skip
        bundle = load_bundle(str(tmp_path / "net"), role="pursuer", dt=0.05)
        actions = bundle.act(seen[:100])
        assert (
            np.abs(actions - net(torch.tensor(seen[:100], dtype=torch.float32)).detach().numpy()).max() < 1e-5
        )
        assert not any(name.startswith("rows") for name in net.state_dict())


class TestContract:
    @pytest.mark.parametrize("name", ["own_x", "opponent_v", "obstacle_0_radius", "step_length"])
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_an_observation_that_is_not_finite_stops_the_robot(self, name: str, value: float) -> None:
        seen = torch.tensor(states().observations[:4])
        net = BarrierNet(Given(torch.full((4, 2), 0.5, dtype=torch.float64)), GAMMA)
        good = net(seen)
        seen[1, NAMES.index(name)] = value
        bad = net(seen)
        assert bad[1].tolist() == [0.0, 0.0]
        assert torch.equal(bad[[0, 2, 3]], good[[0, 2, 3]])

    def test_no_states_no_actions(self) -> None:
        net = torch.jit.script(BarrierNet(mlp(), GAMMA))
        assert net(torch.zeros(0, SIZE)).shape == (0, 2)
        G, b = rows_of_observation(torch.zeros(0, SIZE), GAMMA)
        assert G.shape[0] == b.shape[0] == 0 and G.shape[2] == 2

    def test_what_is_refused(self) -> None:
        for gamma, v_min in ((0.0, 0.0), (1.5, 0.0), (0.2, 0.1), (0.2, -1.5), (float("nan"), 0.0)):
            with pytest.raises(ValueError, match="allowed"):
                ObservationRows(gamma, v_min)
        good, nan = (1.0, 1.0), float("nan")
        for share_min, weights in ((0.0, good), (1.1, good), (1.0, (0.0, 1.0)), (1.0, (1.0, nan))):
            with pytest.raises(ValueError, match="allowed"):
                BarrierNet(mlp(), share_min=share_min, weights=weights)
