"""The learned boundary: features without units, the network's arithmetic, what it predicts, the observer, the guard."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_core.arena import Arena, ArenaConfig
from pe_core.config import ConfigurationError
from pe_core.paths import BOUNDARY, boundary_path
from pe_core.randomisation import draw, load_randomisation
from pe_core.robot import load_robot
from pe_core.scenario import Layout
from pe_safety.closed_loop import Games as Batch
from pe_safety.feasibility.collect import Distribution, Games, collect
from pe_safety.feasibility.features import NAMES, SIZE, write_features
from pe_safety.feasibility.fit import fit_network
from pe_safety.feasibility.model import FeasibilityModel, length, load_feasibility
from pe_safety.feasibility.observer import FeasibilityObserver
from pe_safety.filter import SafetyFilter
from pe_safety.parameters import SafetyParameters
from pe_safety.pending import PENDING_SIZE
from tests.support.safety_states import DT, OPEN, ROBOT, budget_of

HORIZON = 10
PROFILES = ("reference", "turtlebot3_burger", "turtlebot3_waffle", "turtlebot4")


def play(seed: int, games: int, guard: FeasibilityModel | None = None) -> Games:
    robots = [load_robot(name) for name in PROFILES]
    return collect(
        robots, SafetyParameters(), load_randomisation("turtlebot3"), Distribution(), seed, games, guard
    )


@pytest.fixture(scope="module")
def model() -> FeasibilityModel:
    x, y = play(0, 300).labelled(HORIZON)
    return fit_network(x, y, HORIZON)


def features_of(scale: float) -> np.ndarray:
    robot = dataclasses.replace(
        ROBOT, radius=0.15 * scale, vcp_offset=0.05 * scale, v_max=scale, name=f"scaled {scale}"
    )
    parameters = SafetyParameters()
    arena = np.array([[0.5, 0.9, 0.2]]) * scale
    state = np.array([1.7 * scale, 0.2 * scale, 0.3, 0.5 * scale, 1.0])
    other = np.array([1.2 * scale, -0.3 * scale, 2.0, 0.4 * scale, 0.0])
    out = np.empty(SIZE)
    write_features(
        state, other, True, 2.0 * scale, arena, 1, robot.as_array(), robot.as_array(), parameters.as_array(DT),
        budget_of(robot, robot, parameters), DT, out,
    )  # fmt: skip
    return out


def test_features_do_not_change_with_the_scale() -> None:
    np.testing.assert_allclose(features_of(1.0), features_of(0.22), atol=1e-9)
    assert len(NAMES) == len(set(NAMES)) == SIZE


def test_network_is_what_its_equation_says() -> None:
    rng = np.random.default_rng(0)
    width = 7
    weights = rng.normal(0.0, 1.0, length(width))
    weights[SIZE : 2 * SIZE] = rng.uniform(0.5, 2.0, SIZE)
    x = rng.normal(0.0, 1.0, (5, SIZE))
    mean, scale, rest = weights[:SIZE], weights[SIZE : 2 * SIZE], weights[2 * SIZE :]
    w1, rest = rest[: width * SIZE].reshape(width, SIZE), rest[width * SIZE :]
    b1, rest = rest[:width], rest[width:]
    w2, rest = rest[: width * width].reshape(width, width), rest[width * width :]
    b2, rest = rest[:width], rest[width:]
    hidden = np.maximum(np.maximum((x - mean) / scale @ w1.T + b1, 0.0) @ w2.T + b2, 0.0)
    expected = hidden @ rest[:width] + rest[width]
    np.testing.assert_allclose(FeasibilityModel(width, weights, 0.0, 1).logits(x), expected, rtol=1e-10)


def test_it_predicts_games_that_it_has_not_seen(model: FeasibilityModel) -> None:
    x, y = play(50, 80).labelled(HORIZON)
    warned = model.logits(x) > model.threshold
    assert y.sum() > 100
    assert warned[y].mean() > 0.7 and warned[~y].mean() < 0.3


def test_same_seed_same_games() -> None:
    first, second = play(3, 4), play(3, 4)
    np.testing.assert_array_equal(first.features, second.features)
    np.testing.assert_array_equal(first.infeasible, second.infeasible)


def test_file_round_trip_and_refusals(model: FeasibilityModel, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    dataclasses.replace(model, provenance={"command": "by hand", "states": 3}).save(path)
    again = load_feasibility(path)
    assert again.provenance == {"command": "by hand", "states": 3}
    np.testing.assert_array_equal(again.weights, model.weights)
    assert (again.threshold, again.horizon) == (model.threshold, model.horizon)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_feasibility(tmp_path / "missing.npz")
    for content in (b"", b"no archive", path.read_bytes()[:200]):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_feasibility(tmp_path / "bad.npz")
    flat = model.weights.copy()
    flat[SIZE] = 0.0
    with pytest.raises(ConfigurationError, match="scale"):
        FeasibilityModel(model.width, flat, 0.0, 1)
    with pytest.raises(ConfigurationError, match="shape"):
        FeasibilityModel(5, np.zeros(3), 0.0, 1)
    with pytest.raises(ValueError, match="some of both"):
        fit_network(np.zeros((3, SIZE)), np.zeros(3, bool), 1)


def test_observer_warns_in_a_margin_and_not_in_the_open(model: FeasibilityModel) -> None:
    parameters = SafetyParameters()
    observer = FeasibilityObserver(model, parameters, ROBOT, ROBOT, DT)
    far = [-8.0, -8.0, 0.0, 0.0, 0.0]
    inside = observer.margin([9.84, 9.84, 0.7, 0.0, 0.0], far, OPEN)
    free = observer.margin([0.0, 0.0, 0.7, 0.0, 0.0], far, OPEN)
    assert inside < 0.0 < free
    assert 0.0 < observer.probability(free) < observer.probability(inside) <= 1.0
    assert math.isnan(observer.margin([math.nan] * 5, far, OPEN))
    alone = FeasibilityObserver(model, parameters, ROBOT, None, DT)
    assert alone.margin([0.0, 0.0, 0.7, 0.0, 0.0], None, OPEN) > 0.0


def test_observer_changes_no_command(model: FeasibilityModel) -> None:
    filter_ = SafetyFilter(SafetyParameters(), ROBOT, ROBOT, DT)
    observer = FeasibilityObserver(model, SafetyParameters(), ROBOT, ROBOT, DT)
    state, other = np.array([9.7, 0.0, 0.1, 0.5, 0.0]), np.array([9.0, 0.5, 0.0, 0.1, 0.0])
    before = filter_.step(state, (1.0, 0.3), other, OPEN).command
    observer.margin(state, other, OPEN)
    assert filter_.step(state, (1.0, 0.3), other, OPEN).command == before


def test_the_committed_boundary_says_where_it_comes_from() -> None:
    committed = load_feasibility(boundary_path(BOUNDARY))
    assert committed.provenance["command"].endswith(f"models/feasibility/{BOUNDARY}.npz")
    assert committed.provenance["states"] > 100_000 and committed.provenance["git_revision"]
    assert committed.horizon == HORIZON
    x, y = play(1000, 60).labelled(HORIZON)
    warned = committed.logits(x) > committed.threshold
    assert y.sum() > 100
    assert warned[y].mean() > 0.8 and warned[~y].mean() < 0.25


ANY = st.floats(allow_nan=True, allow_infinity=True)
STATE = st.lists(ANY, min_size=5, max_size=5)
PAIR = st.tuples(ANY, ANY)
PLACE = st.tuples(st.floats(-20.0, 20.0), st.floats(-20.0, 20.0))


@settings(max_examples=300, deadline=None)
@given(STATE, STATE | st.none(), ANY, PAIR, PAIR, st.lists(ANY, min_size=PENDING_SIZE, max_size=PENDING_SIZE), PLACE)
def test_observer_never_raises_for_data(state, opponent, age, sigma, rival, pending, place) -> None:
    observer = FeasibilityObserver(load_feasibility(boundary_path(BOUNDARY)), SafetyParameters(), ROBOT, ROBOT, DT)
    arena = Arena(10.0, np.array([[*place, 0.5]]))
    margin = observer.margin(state, opponent, arena, age, sigma, rival, np.array(pending))
    assert math.isnan(margin) or math.isfinite(margin)


@pytest.mark.parametrize("randomised", [False, True])
def test_a_batch_has_the_margins_that_the_observer_gives(model: FeasibilityModel, randomised: bool) -> None:
    config, parameters = ArenaConfig(), SafetyParameters()
    ranges = load_randomisation("turtlebot3")
    if randomised:
        parameters = parameters.covering(ranges)
    rng = np.random.default_rng(2)
    arena = Arena(config.half_side, np.array([[1.0, 2.0, 0.6]]))
    layouts = [Layout(arena, rng.uniform(-4.0, 0.0, 3), rng.uniform(0.5, 4.0, 3)) for _ in range(6)]
    worlds = [draw(ranges, config, (ROBOT, ROBOT), 0, i) for i in range(6)] if randomised else None
    games = Batch(layouts, config, (ROBOT, ROBOT), (parameters, parameters), worlds)
    for _ in range(12):
        games.step(rng.uniform(-1.0, 1.0, (len(games.active), 2, 2)))
    margins = games.feasibility(model)
    assert margins.shape == (len(games.active), 2)
    if randomised:
        assert np.isfinite(margins).all()
        return
    for k, n in enumerate(games.active):
        for r in range(2):
            observer = FeasibilityObserver(model, parameters, ROBOT, ROBOT, DT)
            # The reference robot answers at once: its state is that where a command begins to act.
            own, other = games.states[n, r], games.states[n, 1 - r]
            assert margins[k, r] == pytest.approx(observer.margin(own, other, arena), abs=1e-9)


def test_guard_lowers_infeasibility(model: FeasibilityModel) -> None:
    bare, guarded = play(70, 200), play(70, 200, model)
    assert bare.infeasible.sum() > 100
    # How much depends on the data (docs/results/infeasibility.md); few games hold most of the steps.
    assert guarded.infeasible.sum() < bare.infeasible.sum()
    assert guarded.infeasible.any(axis=(1, 2)).sum() < bare.infeasible.any(axis=(1, 2)).sum()
    np.testing.assert_array_equal(bare.features[:, :, 0], guarded.features[:, :, 0])
