"""The decision: scores from numbers by the stated knots, the rule of the gap, contacts, confidence and sensitivity."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import yaml

from pe_core.config import ConfigurationError
from pe_core.paths import config_path
from pe_evaluation.comparison.cost import closure, code_lines, resampled_speeds, speed_of, training_of
from pe_evaluation.comparison.decision import NOBODY, decide, recommend, scores_of, totals_of
from pe_evaluation.comparison.evidence import Evidence
from pe_evaluation.comparison.rules import CRITERIA, SCALES, load_rules, rules_of

RULES = load_rules()
FILE = yaml.safe_load(config_path("decision", "default").read_text())


def evidence(
    name: str, gap: float = 0.0, violations: float = 0.0, task: float = 0.95, **more: Any
) -> Evidence:
    numbers = {
        "capture_gap": gap, "return_gap": gap, "violations": violations, "task": task, "training_speed": 20_000.0,
        "training_s": 2000.0, "step_us": 200.0, "step_us_p95": 400.0, "code_lines": 2000.0,
    } | more  # fmt: skip
    drawn = {key: np.full(10, numbers[key]) for key in ("capture_gap", "return_gap", "violations", "task")}
    return Evidence(name, name.title(), name, numbers, drawn, {"title": name.title()})


def test_cf_02_weights_sum_to_one_and_scores_are_1_to_5() -> None:
    assert sum(RULES.weights.values()) == pytest.approx(1.0, abs=1e-12)
    assert dict(RULES.weights) == {
        "gap": 0.30, "violations": 0.25, "task": 0.20, "training_speed": 0.15, "complexity": 0.10,
    }  # fmt: skip
    for scale in SCALES:
        scores = RULES.score(scale, np.concatenate([-np.logspace(9, -9, 50), np.logspace(-9, 9, 200)]))
        assert scores.min() >= 1.0 and scores.max() <= 5.0


def test_scores_are_linear_between_knots() -> None:
    assert RULES.score("gap", [0.0, 0.025, 0.05, 0.10, 0.15, 0.5]) == pytest.approx(
        [5.0, 4.5, 4.0, 3.0, 2.0, 1.0]
    )
    assert RULES.score("training_speed", [1.0, 123.0, 25_000.0, 1e6]) == pytest.approx([1.0, 1.0, 4.0, 5.0])


@pytest.mark.parametrize(
    ("gap", "wanted"),
    [
        (-0.2, "cbf-beta"),
        (0.0, "cbf-beta"),
        (0.049, "cbf-beta"),
        (0.05, "barriernet"),
        (0.15, "barriernet"),
        (0.4, "barriernet"),
    ],
)
def test_the_gap_of_cbf_beta_decides(gap: float, wanted: str) -> None:
    found = decide([evidence("cbf-beta", gap), evidence("barriernet", task=0.2)], RULES)
    assert found["recommended"] == wanted
    assert found["by_rule"] and found["confidence"] == 1.0
    assert found["band"] == ("below" if gap < 0.05 else "between" if gap <= 0.15 else "above")


def test_the_larger_of_both_gaps_counts() -> None:
    found = decide([evidence("cbf-beta", 0.0, return_gap=0.2), evidence("barriernet")], RULES)
    assert found["band"] == "above"
    assert found["sensitivity"]["gap"]["capture_alone"] == "below"
    assert found["sensitivity"]["gap"]["return_alone"] == "above"


def test_with_contacts_nothing_is_acceptable() -> None:
    found = decide(
        [evidence("cbf-beta", 0.0, violations=0.001), evidence("barriernet"), evidence("ppo", task=0.3)],
        RULES,
    )
    assert found["recommended"] == "barriernet"
    assert not found["by_rule"]
    assert {row["candidate"]: row["acceptable"] for row in found["matrix"]}["cbf-beta"] is False
    assert recommend([evidence("cbf-beta", violations=0.5)], RULES) == [NOBODY]
    assert decide([], RULES)["recommended"] == NOBODY


def test_confidence_is_the_share_of_resamples_that_agree() -> None:
    first = evidence("cbf-beta", 0.04)
    drawn = dict(first.drawn) | {"capture_gap": np.array([0.04] * 7 + [0.06] * 3), "return_gap": np.zeros(10)}
    first = Evidence(first.name, first.title, first.deployed, first.numbers, drawn, first.sources)
    found = decide([first, evidence("barriernet")], RULES)
    assert found["confidence"] == pytest.approx(0.7)
    assert found["resampled"] == {"barriernet": pytest.approx(0.3), "cbf-beta": pytest.approx(0.7)}
    assert found["sensitivity"]["gap"]["bands"] == {
        "below": pytest.approx(0.7),
        "between": pytest.approx(0.3),
        "above": 0.0,
    }


def test_totals_by_hand() -> None:
    found = totals_of(scores_of([evidence("cbf-beta", 0.05, 0.0, 0.8)], RULES), RULES.weights)[0, 0]
    speed = 3.0 + 2.0 * (20_000 - 10_000) / 30_000
    simple = 0.5 * ((4.0 - 500 / 1500) + (5.0 - 0.5))
    assert found == pytest.approx(0.3 * 4.0 + 0.25 * 5.0 + 0.2 * 3.0 + 0.15 * speed + 0.1 * simple)


def test_sensitivity_says_what_would_change_the_first() -> None:
    two = [evidence("cbf-beta", task=0.95), evidence("barriernet", task=0.85, training_speed=40_000.0)]
    found = decide(two, RULES)
    first = found["matrix_first"]
    for key in CRITERIA:
        row = found["sensitivity"]["weights"][key]
        assert row["low"] <= row["weight"] <= row["high"]
        for weight, winner in ((row["low"] - 0.002, row["below"]), (row["high"] + 0.002, row["above"])):
            if not 0.0 <= weight <= 1.0:
                continue
            scale = (1.0 - weight) / (1.0 - row["weight"])
            tried = {other: weight if other == key else scale * RULES.weights[other] for other in CRITERIA}
            totals = totals_of(scores_of(two, RULES), tried)[:, 0]
            assert two[int(totals.argmax())].name == winner != first
    rival = found["sensitivity"]["rivals"][0]
    wanted = rival["score_wanted"]["task"]
    own = next(row for row in found["matrix"] if row["candidate"] == rival["candidate"])
    assert own["total"] + RULES.weights["task"] * (wanted - own["scores"]["task"]) == pytest.approx(
        found["matrix"][0]["total"]
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": {"gap": 1.0}}, "weights"),
        ({"weights": {**FILE["weights"], "gap": 0.31}}, "sum 1"),
        ({"knots": {**FILE["knots"], "gap": [[0, 5], [0.1, 6]]}}, "scores 1 to 5"),
        ({"knots": {**FILE["knots"], "gap": [[0.2, 5], [0.1, 2]]}}, "numbers rising"),
        ({"rule": {**FILE["rule"], "limits": [0.2, 0.1]}}, "the lower first"),
        ({"gates": {**FILE["gates"], "step_ms_most": -1}}, "step_ms_most"),
        ({"colour": 1}, "key 'colour'"),
    ],
)
def test_bad_rules_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        rules_of(copy.deepcopy(FILE) | change, "rules.yaml")


def test_training_counts_the_part_that_it_started_from() -> None:
    found = training_of({"steps": 100, "wall_s": 10.0, "start": {"steps": 300, "wall_s": 10.0}})
    assert found == (400.0, 20.0)


def test_the_speed_of_several_trainings_is_that_of_all_and_resampled_by_training() -> None:
    trainings = np.array([[400.0, 20.0], [100.0, 30.0]])
    assert speed_of(trainings) == 10.0
    assert speed_of(np.zeros((1, 2))) == 0.0
    drawn = resampled_speeds(trainings, 400)
    assert set(np.round(drawn, 6)) == {20.0, 10.0, round(100.0 / 30.0, 6)}
    assert 0.4 < (drawn == 10.0).mean() < 0.6
    assert (resampled_speeds(trainings[:1], 5) == 20.0).all()


def test_the_share_of_first_places_knows_that_trainings_differ() -> None:
    slow, fast = evidence("ppo", task=0.9), evidence("cbf-beta", task=0.9, training_speed=30_000.0)
    assert decide([slow, fast], RULES)["matrix"][0]["first_share"] == 1.0
    unsure = np.where(np.arange(10) < 4, 5_000.0, 30_000.0)
    fast.drawn["training_speed"] = unsure  # type: ignore[index]
    found = {row["candidate"]: row["first_share"] for row in decide([slow, fast], RULES)["matrix"]}
    assert found == {"cbf-beta": 0.6, "ppo": 0.4}


def test_code_lines_are_code(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_module_of_test.py").write_text(
        '"""Doc.\n\nMore."""\n\n# Why.\nX = [\n    1,\n]\n\n\ndef f():\n    """Doc."""\n    return X\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert code_lines("some_module_of_test") == 5
    assert code_lines("pe_safety.filter") > 50
    with pytest.raises(ConfigurationError, match="'pe_safety.nothing' is unknown"):
        code_lines("pe_safety.nothing")


def test_what_modules_import_is_counted_once(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_package_of_test"
    package.mkdir()
    texts = {
        "__init__": "", "a": "import math\nfrom some_package_of_test import b\n",
        "b": "from some_package_of_test.c import X\n", "c": "X = 1\n", "d": "",
    }  # fmt: skip
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = package.name
    assert closure([f"{name}.a", f"{name}.c"], name) == [f"{name}.a", f"{name}.b", f"{name}.c"]


def test_modules_of_the_rules_exist_and_hold_what_they_stand_on() -> None:
    found = closure(f"pe_safety.{module}" for modules in RULES.modules.values() for module in modules)
    assert {"pe_safety.lattice", "pe_safety.shares"} <= set(found)
