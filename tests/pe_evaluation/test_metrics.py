"""The definitions of the metrics, against games counted by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from pe_core.arena import Arena
from pe_core.rules import body_margin
from pe_evaluation.metrics import (
    BACKUP,
    EXACT,
    RELAXED,
    STOP,
    EpisodeRecord,
    RobotCounts,
    body_margins,
    count_robot,
    count_violations,
    episode_row,
    foreseen,
    identity_of,
    json_safe,
    latency,
    spread,
    summarise,
    write_json,
)


def record(index: int, outcome: str, **values: object) -> EpisodeRecord:
    base: dict[str, object] = {
        "steps": 100, "dt": 0.05, "capture_time": 5.0 if outcome == "capture" else None, "min_margin": 0.2,
        "violations": 0, "robots": {"pursuer": RobotCounts(100), "evader": RobotCounts(100)},
    }  # fmt: skip
    return EpisodeRecord(index=index, outcome=outcome, **{**base, **values})  # type: ignore[arg-type]


def test_margins_are_those_of_the_rules() -> None:
    random = np.random.default_rng(0)
    arena = Arena(5.0, np.array([[1.0, 2.0, 0.7], [-3.0, 0.5, 0.4]]))
    pursuer, evader = random.uniform(-6.0, 6.0, (2, 200, 3))
    margins = body_margins(pursuer, evader, (0.15, 0.2), arena)
    for row, (a, b) in enumerate(zip(pursuer, evader, strict=True)):
        assert margins[row, 0] == pytest.approx(body_margin(a, b, 0.15, 0.2, 5.0, arena.obstacles), abs=1e-12)
        assert margins[row, 1] == pytest.approx(body_margin(b, a, 0.2, 0.15, 5.0, arena.obstacles), abs=1e-12)


def test_margins_by_hand() -> None:
    arena = Arena(10.0, np.array([[0.0, 0.0, 1.0]]))
    margins = body_margins(np.array([[3.0, 0.0, 0.0]]), np.array([[9.0, 0.0, 0.0]]), (0.15, 0.15), arena)
    # Pursuer: obstacle 3 - 1 - 0.15; evader: wall 10 - 0.15 - 9.
    assert margins[0] == pytest.approx([1.85, 0.85])


def test_touching_is_a_violation_and_counts_once_a_sample() -> None:
    assert count_violations(np.array([[0.1, 0.1], [0.0, 0.3], [-0.1, -0.1], [math.nan, 1.0]])) == 2
    assert count_violations(np.empty((0, 2))) == 0


def test_counts_of_one_robot() -> None:
    counts = count_robot(
        [EXACT, EXACT, RELAXED, BACKUP, STOP], [False, True, True, True, False], [0.0, 0.5, 0.25, 1.0, math.nan]
    )
    assert counts == RobotCounts(
        steps=5, interventions=3, infeasible=2, backup=1, stopped=1, correction_sum=1.75, correction_max=1.0
    )


def test_a_turn_on_the_spot_is_backup_but_not_infeasible_where_the_filter_says_so() -> None:
    counts = count_robot([EXACT, BACKUP, BACKUP, RELAXED], [False, True, True, True], [0.0] * 4, [0, 0, 1, math.nan])
    assert (counts.infeasible, counts.backup) == (2, 2)


def test_a_spell_is_foreseen_by_a_warning_in_the_ten_cycles_before_it() -> None:
    bad = np.zeros(40, bool)
    bad[20:23] = True
    assert foreseen(np.arange(40) == 19, bad) == 3
    assert foreseen(np.arange(40) == 10, bad) == 3
    assert foreseen(np.arange(40) == 9, bad) == 0
    assert foreseen(np.arange(40) >= 20, bad) == 0, "a warning in the cycle itself comes too late"
    bad[0] = True
    assert foreseen(np.ones(40, bool), bad) == 3, "nothing comes before the first cycle"
    assert foreseen([], []) == 0
    with_gap = [False, True, False, True, True]
    assert foreseen([True, False, False, False, False], with_gap) == 3


def test_warnings_count_where_a_boundary_was_asked() -> None:
    tiers, flags, sizes = [EXACT, EXACT, RELAXED, EXACT], [False, False, True, False], [0.0, 0.0, 0.3, 0.0]
    watched = count_robot(tiers, flags, sizes, [0, 0, 1, 0], (), [0.5, -0.1, -0.2, math.nan])
    assert (watched.warned, watched.foreseen) == (2, 1)
    blind = count_robot(tiers, flags, sizes, [0, 0, 1, 0], (), [math.nan] * 4)
    assert (blind.warned, blind.foreseen) == (None, None)
    metrics = summarise([record(0, "timeout", robots={"pursuer": watched, "evader": blind})], {})
    assert (metrics["infeasibility_warnings"], metrics["infeasible_foreseen"], metrics["infeasible"]) == (2, 1, 2)
    assert metrics["infeasibility_warning_rate"] == 2 / 4, "of the cycles of who was watched"
    nothing = summarise([record(0, "timeout", robots={"evader": blind})], {})
    assert nothing["infeasibility_warnings"] is None and nothing["infeasible_foreseen"] is None
    assert nothing["infeasibility_warning_rate"] is None


def test_summary_by_hand() -> None:
    records = [
        record(0, "capture", capture_time=4.0, robots={"pursuer": RobotCounts(80, 8, 1, 1, 0, 2.0, 0.5),
                                                       "evader": RobotCounts(80, 0)}),
        record(1, "capture", capture_time=6.0, min_margin=0.1),
        record(2, "timeout", violations=3, min_margin=-0.01,
               robots={"pursuer": RobotCounts(120, 2), "evader": RobotCounts(120, 10, 4, 0, 0, 1.0, 0.9)}),
        record(3, "interrupted", violations=1, min_margin=0.0),
    ]  # fmt: skip
    metrics = summarise(records, identity_of(seed=4, git_revision="abc"))
    assert (metrics["episodes"], metrics["captures"], metrics["timeouts"], metrics["interrupted"]) == (3, 2, 1, 1)
    assert metrics["capture_rate"] == 2 / 3
    assert metrics["capture_time_s"] == {"mean": 5.0, "p50": 5.0, "max": 6.0}
    assert (metrics["violations"], metrics["violation_episodes"]) == (4, 2)
    assert metrics["violation_episode_rate"] == 0.5
    assert metrics["min_margin_m"] == -0.01
    assert metrics["control_steps"] == 160 + 200 + 240 + 200
    assert metrics["interventions"] == 20
    assert metrics["intervention_rate"] == 20 / 800
    assert metrics["intervention_rate_pursuer"] == 10 / 400
    assert metrics["intervention_rate_evader"] == 10 / 400
    assert (metrics["infeasible"], metrics["backup"]) == (5, 1)
    assert metrics["correction_mean"] == 3.0 / 800
    assert metrics["correction_max"] == 0.9
    assert metrics["identity"]["seed"] == 4


def test_summary_of_nothing() -> None:
    metrics = summarise([], {})
    assert metrics["episodes"] == 0
    assert metrics["capture_rate"] is None
    assert metrics["capture_rate_ci"] == [0.0, 1.0]
    assert metrics["violations"] == 0
    assert metrics["min_margin_m"] is None


def test_unknown_violations_are_not_zero() -> None:
    metrics = summarise([record(0, "capture", violations=None, min_margin=math.nan)], {})
    assert metrics["violations"] is None
    assert metrics["violation_episodes"] is None
    assert metrics["violation_episode_rate_upper"] == 1.0
    assert metrics["min_margin_m"] is None


def test_metrics_have_the_agreed_keys() -> None:
    metrics = summarise([record(0, "capture")], identity_of())
    agreed = {
        "episodes", "captures", "capture_rate", "violations", "violation_episodes", "min_margin_m", "interventions",
        "intervention_rate", "infeasible", "backup", "capture_time_s", "identity",
    }  # fmt: skip
    assert agreed <= set(metrics)
    assert {"git_revision", "bundles", "configuration_sha256", "seed"} <= set(metrics["identity"])


def test_everything_is_json(tmp_path: Path) -> None:
    values = {"a": np.float64(math.nan), "b": np.int64(3), "c": (math.inf, 1.5), 4: np.arange(2), "p": tmp_path}
    assert json_safe(values) == {"a": None, "b": 3, "c": [None, 1.5], "4": [0, 1], "p": str(tmp_path)}
    target = tmp_path / "new" / "metrics.json"
    write_json(target, {"x": 0.1 + 0.2, "nan": math.nan})
    assert json.loads(target.read_text()) == {"x": 0.1 + 0.2, "nan": None}
    assert [path.name for path in target.parent.iterdir()] == ["metrics.json"]


def test_row_of_an_episode() -> None:
    row = episode_row(record(7, "capture", seed=3))
    assert (row["index"], row["outcome"], row["time_s"], row["capture_time_s"], row["seed"]) == (
        7, "capture", 5.0, 5.0, 3,
    )  # fmt: skip
    assert row["pursuer"]["steps"] == 100


def test_latencies_and_spreads() -> None:
    assert latency([1.0, 2.0, math.nan, 3.0]) == {"p50": 2.0, "p99": pytest.approx(2.98), "max": 3.0, "count": 3}
    assert latency([]) == {"p50": None, "p99": None, "max": None, "count": 0}
    assert spread([]) == {"mean": None, "p50": None, "max": None}


def test_reasons_of_backup_are_counted_and_pooled() -> None:
    turning, least = "blocked: turning on the spot", "the least relaxation would leave the safe set"
    first = count_robot(
        [EXACT, BACKUP, BACKUP, RELAXED, STOP], [True] * 5, [0.0] * 5, None, ["", turning, least, turning, "stale"]
    )
    assert first.reasons == {turning: 2, least: 1}
    second = count_robot([BACKUP], [True], [0.0], None, [least])
    record = EpisodeRecord(0, "timeout", 5, 0.05, None, 0.1, 0, {"pursuer": first, "evader": second})
    assert summarise([record], {})["backup_reasons"] == {turning: 2, least: 2}
    assert episode_row(record)["pursuer"]["reasons"] == {turning: 2, least: 1}
    assert summarise([], {})["backup_reasons"] == {}
