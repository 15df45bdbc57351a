"""``./pe ablate``: the same training without each of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

MEASURED = ("capture_rate", "violations", "intervention_rate", "infeasible_rate", "min_margin_m")


def ablate(
    base: Annotated[
        str, typer.Option(help="Parameters that all variants share: a name in config/learning.")
    ] = "barriernet",
    steps: Annotated[
        int | None, typer.Option(help="Environment steps of each. Default: the base's.", min=1)
    ] = None,
    seeds: Annotated[
        list[int] | None, typer.Option(help="Seed of the training; again for more. Default: 0.")
    ] = None,
    evader: Annotated[str, typer.Option(help="Evader of the evaluation.")] = "lookahead",
    speed_ratio: Annotated[float, typer.Option(help="Its speed over the pursuer's.")] = 1.2,
    episodes: Annotated[int, typer.Option(help="Episodes of each evaluation.", min=1)] = 2000,
    out: Annotated[Path, typer.Option(help="Run folders and bundles.", metavar="DIR")] = Path("out/ablation"),
    json: Annotated[Path | None, typer.Option(help="Write the rows to this file.", metavar="FILE")] = None,
) -> None:
    """Train variants A (full), B (unsafe), C (filter only at deployment), D (no w5), E (no learned feasibility)."""
    import statistics

    from rich.console import Console
    from rich.table import Table

    from pe_evaluation.metrics import write_json
    from training.learning.ablation import VARIANTS

    rows: list[dict[str, Any]] = []
    for name in VARIANTS:
        for seed in seeds or [0]:
            found = _one(name, base, steps, seed, evader, speed_ratio, episodes, out)
            rows += [
                {
                    "bench": "ablation",
                    "subject": name,
                    "case": f"seed {seed}",
                    "metric": key,
                    "value": value,
                    "unit": "",
                }
                for key, value in found.items()
            ]
            if json is not None:
                write_json(json, rows)
    table = Table(title=f"{evader} at {speed_ratio:g}, {episodes} episodes, means over seeds {seeds or [0]}")
    for column in ("variant", *MEASURED):
        table.add_column(column)
    for name, variant in VARIANTS.items():
        values = [
            statistics.fmean(row["value"] for row in rows if row["subject"] == name and row["metric"] == key)
            for key in MEASURED
        ]
        table.add_row(f"{name}: {variant.description}", *(f"{value:.4g}" for value in values))
    Console().print(table)


def _one(
    name: str,
    base: str,
    steps: int | None,
    seed: int,
    evader: str,
    speed_ratio: float,
    episodes: int,
    out: Path,
) -> dict[str, float]:
    """Train one variant with one seed, and play it as it is meant to be deployed; what is there is not done again."""
    from pe_evaluation.evaluate import Match, evaluate
    from pe_evaluation.metrics import identity_of, summarise
    from training.learning.ablation import VARIANTS, learning_of
    from training.learning.export import export
    from training.learning.run import CHECKPOINT
    from training.learning.train_main import parameters, train

    folder = out / f"{name}-{seed}"
    learning = learning_of(name, parameters(base, steps, []))
    status = train(
        learning, seed, folder, (folder / CHECKPOINT).is_file(), None, f"./pe ablate, variant {name}"
    )
    if status != 0:
        raise typer.Exit(status)
    bundle, _ = export(folder, f"{name}-{seed}", out / "bundles")
    match = Match(str(bundle), evader, VARIANTS[name].deployed, speed_ratio=speed_ratio, seed=1_000 + seed)
    records, identity = evaluate(match, episodes)
    metrics: dict[str, Any] = dict(summarise(records, identity_of(**identity)))
    return {key: float(metrics[key]) for key in MEASURED}
