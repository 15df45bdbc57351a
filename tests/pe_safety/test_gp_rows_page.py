"""The page of the learned rows says what its rows say: who touches, who blocks, and where a fixed margin would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bench.gp_rows import METHODS, learning, summary
from tests.bench.gp_rows_page import LEARNT, Table, draw, page
from tests.bench.gp_worlds import Episode

STEPS = 600


def episode(contact: bool, crossings: int, learnt: bool) -> Episode:
    series: dict[str, list] = {}
    if learnt:
        bound = np.tile(np.linspace(0.5, 0.01, STEPS)[:, None], (1, 3))
        # Every tenth residual leaves the band.
        actual = [[2.0 if k % 10 == 0 else 0.0] * 3 for k in range(STEPS)]
        series = {"bound": bound.tolist(), "mean": np.zeros((STEPS, 3)).tolist(), "actual": [None, *actual[1:]]}
        series["body"] = [-0.01 if contact and k >= 60 else 0.02 for k in range(STEPS)]
    return Episode(3 * contact, contact, -0.01 if contact else 0.02, crossings, 6, 0, 0, 1.0, STEPS, series)


def rows(contacts: dict[str, bool], crossings: dict[str, int]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        row("all methods", "games", "episodes of a world", 4),
        *(row("machine", "control step", name, 1.0) for name in ("load before", "load after", "processors")),
        row("refits in the thread", "control step", "refits", 60),
        row("refits in the thread", "control step", "refit, median", 50.0),
        *(row(name, "20 Hz control step, 600 samples", f"work {label}", 700.0)
          for name in ("without refits", "refits in the thread") for label in ("p50", "p99", "max")),
    ]  # fmt: skip
    for world in ("slope", "slip"):
        for name in METHODS:
            episodes = [episode(contacts.get(name, False), crossings.get(name, 4), name == LEARNT)] * 4
            made += summary(name, world, episodes)
    return made


def row(subject: str, case: str, metric: str, value: float) -> dict[str, Any]:
    return {"bench": "gp-rows", "subject": subject, "case": case, "metric": metric, "value": value, "unit": "1"}


def test_who_touches_and_who_blocks() -> None:
    made = rows({"no margin": True}, {"fixed 0.4 m/s": 1})
    table = Table(made)
    verdicts = {name: table.verdict(name, "slip") for name in METHODS}
    assert (verdicts["no margin"], verdicts["fixed 0.4 m/s"]) == ("touches", "blocks")
    assert verdicts["fixed 0.1 m/s"] == verdicts[LEARNT] == "neither"
    text = " ".join(page(made, "a.png", "b.png").split())
    assert "slip: learnt neither touches nor blocks; touches: no margin; blocks: fixed 0.4 m/s" in text
    assert "**fixed 0.1 m/s, fixed 0.05 m, fixed 0.15 m would have done**" in text
    assert "0 episodes with a contact in 8, which is no violation seen, not none possible" in text
    assert "| without refits | 700 | 700 | 700 |" in text


def test_a_learnt_contact_is_not_hidden() -> None:
    text = " ".join(page(rows({LEARNT: True}, {}), "a.png", "b.png").split())
    assert "learnt **touches**" in text
    assert "Learnt rows: 8 episodes with a contact in 8: world slip, seed 0, from 3.0 s, 10.0 mm deep; world" in text
    assert "Under slip nothing touches without any margin either" in text


def test_margin_and_band_are_counted_from_the_series() -> None:
    values = learning([episode(False, 4, True)])
    first, last = values["forward margin, median, 0 to 1 s"][0], values["forward margin, median, 25 to 30 s"][0]
    assert first == pytest.approx(0.5 - 0.49 * 9.5 / 599, abs=1e-6) and last < 0.06
    assert values["turn residuals in the band"][0] == pytest.approx(90.0, abs=0.5)


def test_figure_is_drawn(tmp_path: Path) -> None:
    draw(rows({"no margin": True}, {}), tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
