"""The ablation changes what its variants say, and its command trains, plays and tells of all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pe_cli.ablate import MEASURED, ablate
from pe_core.config import ConfigurationError
from training.learning.ablation import VARIANTS, learning_of
from training.learning.parameters import Learning, load_learning

BASE = """
algorithm: barriernet
role: pursuer
opponents: random
hidden: 8
games: 32
horizon: 16
minibatch: 256
epochs: 1
starts: 32
steps: 2048
critic_only: 0
teacher: lead
imitation: 512
"""


@pytest.mark.parametrize(
    ("variant", "algorithm", "safety", "rewards", "feasibility", "deployed"),
    [
        ("A", "barriernet", "rcbf", "reference", 0.05, "rcbf"),
        ("B", "ppo", "none", "without_safety", 0.0, "none"),
        ("C", "ppo", "none", "reference", 0.0, "rcbf"),
        ("D", "barriernet", "rcbf", "without_safety", 0.05, "rcbf"),
        ("E", "barriernet", "rcbf", "reference", 0.0, "rcbf"),
    ],
)
def test_a_variant_changes_what_it_says(
    variant: str, algorithm: str, safety: str, rewards: str, feasibility: float, deployed: str
) -> None:
    base = load_learning("barriernet")
    learning = learning_of(variant, base)
    assert (learning.algorithm, learning.safety, learning.rewards) == (algorithm, safety, rewards)
    assert learning.feasibility == feasibility and VARIANTS[variant].deployed == deployed
    for field in ("opponents", "steps", "imitation", "learning_rate", "discount", "hidden", "correction"):
        assert getattr(learning, field) == getattr(base, field), field


def test_variants_without_a_program_take_a_base_that_asks_things_of_one() -> None:
    base = Learning(algorithm="barriernet", correction=0.1, least_share=0.5)
    assert (learning_of("A", base).correction, learning_of("A", base).least_share) == (0.1, 0.5)
    for variant in ("B", "C"):
        learning = learning_of(variant, base)
        assert (learning.correction, learning.least_share) == (0.01, 1.0)


def test_an_ablation_that_would_only_imitate_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="imitation = 2000000: allowed: less than steps = 200000"):
        ablate(steps=200_000, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_trains_and_plays_every_variant(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text(BASE)
    rows_file = tmp_path / "rows.json"
    ablate(
        base=str(base), steps=2560, seeds=[3], evader="random", speed_ratio=1.0, episodes=4, out=tmp_path / "out",
        json=rows_file,
    )  # fmt: skip
    rows = json.loads(rows_file.read_text())
    assert {(row["subject"], row["case"], row["metric"]) for row in rows} == {
        (variant, "seed 3", metric) for variant in VARIANTS for metric in MEASURED
    }
    assert len(rows) == len(VARIANTS) * len(MEASURED)
    found = {(row["subject"], row["metric"]): row["value"] for row in rows}
    assert all(found[variant, "violations"] == 0.0 for variant in "ACDE"), "they are filtered"
    assert found["B", "intervention_rate"] == 0.0, "nobody intervenes"
    for variant in VARIANTS:
        run = json.loads((tmp_path / "out" / f"{variant}-3" / "run.json").read_text())
        assert run["learning"]["steps"] == 2560 and run["learning"]["hidden"] == 8
        assert (tmp_path / "out" / "bundles" / f"{variant}-3" / "bundle.json").is_file()
