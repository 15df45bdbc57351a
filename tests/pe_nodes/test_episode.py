"""/episode: what is announced is what is understood."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pe_core.arena import Arena
from pe_core.config import ConfigurationError
from pe_nodes.episode import END, START, Episode, parse

EPISODE = Episode(
    3, 7, 5_000_000_000, 0.05, "random", Arena(10.0, np.array([[1.0, 2.0, 0.5]])), 0.5, 60.0,
    (0.0, 0.1, 0.2), (4.0, 5.0, -3.0), 1.2,
)  # fmt: skip


def test_round_trip():
    event, episode = parse(json.dumps(EPISODE.announcement()))
    assert event == START
    assert episode.announcement() == EPISODE.announcement()
    assert parse(json.dumps(EPISODE.announcement() | {"event": END, "outcome": "capture"}))[0] == END


def test_steps_and_stamps():
    assert EPISODE.max_steps == 1200
    assert EPISODE.stamp_of(7) == 5_350_000_000
    assert EPISODE.step_at(5_350_000_000) == 7
    assert EPISODE.step_at(5_353_000_000) == 7


@pytest.mark.parametrize(
    "change",
    [{"event": "pause"}, {"dt": 0.0}, {"dt": "NaN"}, {"half_side": -1.0}, {"pursuer": [0.0, float("nan"), 0.0]},
     {"obstacles": [[0.0, 0.0]]}, {"index": None}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(change):
    with pytest.raises(ConfigurationError):
        parse(json.dumps(EPISODE.announcement() | change))


def test_text_that_is_not_json_is_refused():
    with pytest.raises(ConfigurationError, match="/episode"):
        parse("hello")
