"""Every figure is drawn from a comparison that was really played, names every approach, and leaves no panel empty."""

from __future__ import annotations

import copy
import json
import math
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.text import Text

from pe_core.config import ConfigurationError
from pe_core.paths import bundle_path
from pe_evaluation.compare_main import Request, run
from pe_evaluation.comparison.figures import gallery, margins, task, training, trajectories
from pe_evaluation.comparison.figures.look import WIDTH, looks_of
from pe_evaluation.comparison.figures.material import Material, Training, training_of
from pe_evaluation.comparison.replays import groups_of
from pe_evaluation.comparison.track import load_track
from tests.support.comparison import described

LEAD = {"name": "lead-rcbf", "title": "lead pursuit → RCBF-QP", "bundle": "lead", "setting": "reference"}
NAMES = ("ppo-alone", "cbf-trained", "cbf", "net-trained", "net")
OF_APPROACHES = (
    "captures", "trajectories_central_obstacle", "margins", "map_margins", "map_contacts", "map_corrections", "actions",
    "smoothness",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison, played and reported."""
    plan = described(
        NAMES,
        cells=[{"evader": "lookahead", "speed_ratios": [1.0, 1.2]}],
        tracks={"scenarios": ["central_obstacle"], "first_episodes": 1, "replayed": ["cbf", "net", "lead-rcbf"]},
        randomised={
            "approaches": ["lead-rcbf", "net"], "cells": [{"evader": "lookahead", "speed_ratios": [1.0]}],
        },
    )  # fmt: skip
    plan["approaches"].insert(0, LEAD)
    base = tmp_path_factory.mktemp("figures")
    (base / "few.yaml").write_text(yaml.safe_dump(plan))
    assert run(Request(2, (0,), base / "out", plan=str(base / "few.yaml"), workers=1)) == 0
    return base / "out"


@pytest.fixture(scope="module")
def material(folder: Path) -> Material:
    return Material(folder)


@pytest.fixture(scope="module")
def figures(material: Material) -> dict[str, Figure]:
    return {picture.name: picture.draw() for picture in gallery.pictures(material)}


def texts(figure: Figure) -> Iterator[Text]:
    """What can be read in a figure."""
    figure.draw_without_rendering()
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_visible() and text.get_text().strip() and within(text):
            yield text


def within(text: Text) -> bool:
    """Whether it is drawn at all: labels of ticks beyond the ends of their axis are not."""
    for axis in (axis for axes in text.figure.axes for axis in (axes.xaxis, axes.yaxis)):  # type: ignore[union-attr]
        for tick in axis.get_major_ticks() + axis.get_minor_ticks():
            if text in (tick.label1, tick.label2):
                low, high = sorted(axis.get_view_interval())
                return text.get_visible() and low - 1e-9 <= tick.get_loc() <= high + 1e-9
    return True


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in texts(figure))


def shows(axes: Axes) -> bool:
    """Whether an axes holds data or a reason."""
    drawn = any(np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any() for line in axes.lines)
    drawn |= any(isinstance(each, Collection) for each in axes.collections)
    return drawn or bool(axes.patches or axes.images or any(text.get_text().strip() for text in axes.texts))


@pytest.mark.slow
def test_files_are_as_wide_as_a_page_and_in_both_reports(folder: Path, figures: dict[str, Figure]) -> None:
    page, report = ((folder / name).read_text() for name in ("report.html", "decision_report.md"))
    for name in figures:
        root = ElementTree.fromstring((folder / "figures" / f"{name}.svg").read_text())
        assert float(root.attrib["width"].removesuffix("pt")) == pytest.approx(170.0 / 25.4 * 72.0, abs=0.5)
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f'<article id="figure-{name}">' in page
        assert f"(figures/{name}.svg)" in report
    assert not [path for path in (folder / "figures").iterdir() if path.name.startswith(".")]
    assert page.count("data:image/") == len(figures)


@pytest.mark.slow
def test_every_figure_of_approaches_names_them_all(material: Material, figures: dict[str, Figure]) -> None:
    titles = [look.title for look in material.looks]
    assert len(titles) == 1 + len(NAMES)
    for name in OF_APPROACHES:
        found = [text.get_text() for text in texts(figures[name])]
        assert [title for title in titles if title not in found] == [], name
    for name in ("matrix", "gap"):
        assert all(gap["title"] in words(figures[name]) for gap in material.summary["gaps"]), name
    for name in ("training", "exploitability"):
        assert all(look.bundle in words(figures[name]) for look in material.looks), name


@pytest.mark.slow
def test_worlds_are_told_apart(figures: dict[str, Figure]) -> None:
    drawn = {name for name in figures if name.endswith("_randomised")}
    assert drawn == {
        f"{name}_randomised" for name in OF_APPROACHES if not name.startswith("trajectories")
    }
    assert LEAD["title"] in words(figures["margins_randomised"])
    assert "plain PPO" not in words(figures["margins_randomised"])


@pytest.mark.slow
def test_no_axes_are_empty(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        assert figure.axes, name
        assert all(shows(axes) for axes in figure.axes), name


@pytest.mark.slow
def test_text_can_be_read_in_print_and_is_not_cut_off(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        assert figure.get_figwidth() == pytest.approx(WIDTH)
        width, height = figure.bbox.width, figure.bbox.height
        for text in texts(figure):
            assert text.get_fontsize() >= 7.0, (name, text.get_text())
            assert "mathdefault" not in text.get_text(), (name, text.get_text(), "a raised exponent is too small")
            box = text.get_window_extent()
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            assert inside, (name, text.get_text(), box)


@pytest.mark.slow
def test_capture_rates_are_drawn_where_they_were_measured(material: Material) -> None:
    cells = material.summary["cells"]
    figure = task.capture_figure(material.looks, cells)
    panel = next(axes for axes in figure.axes if axes.get_title(loc="left") == "lookahead")
    for look, line in zip(material.looks, panel.lines, strict=True):
        wanted = [
            cell["captured"]["mean"] for cell in cells
            if (cell["approach"], cell["evader"], cell["world"]) == (look.name, "lookahead", "ideal")
        ]  # fmt: skip
        assert np.asarray(line.get_ydata()) == pytest.approx(wanted)
        assert np.abs(np.asarray(line.get_xdata()) - [1.0, 1.2]).max() < 0.1


@pytest.mark.slow
def test_maps_say_how_many_contacts_there_were(material: Material, figures: dict[str, Figure]) -> None:
    shown = words(figures["map_contacts"])
    for look in material.looks:
        found = material.maps("ideal", look.name)
        assert found is not None
        touched, steps = found["violations"].sum(), found["visits"].sum()
        assert steps > 0
        said = f"{touched:,.0f} of {steps:,.0f} steps" if touched else f"no contact in {steps:,.0f} steps"
        assert said in shown, look.name
    assert "no filter" in words(figures["map_corrections"])
    assert "no filter" in words(figures["smoothness"])


@pytest.mark.slow
def test_what_was_not_played_is_said_to_be_so(material: Material, figures: dict[str, Figure]) -> None:
    tracks = dict(material.tracks["central_obstacle"])
    gone = tracks.pop("ppo-alone")
    assert "not played" not in words(figures["trajectories_central_obstacle"])
    assert "not played" in words(trajectories.trajectory_figure(material.looks, tracks))
    assert "not played" in words(trajectories.trajectory_figure(material.looks, {}))
    assert gone.steps > 0
    gap = {"name": "x", "title": "X", "reason": "not played in the same cells"}
    assert "not played in the same cells" in words(task.gap_figure([gap], [], (0.05, 0.15)))
    assert "no candidate" in words(task.matrix_figure({"matrix": [], "reason": "no candidate has evidence"}))
    assert "has been trained against lead, ppo, cbf-beta" in words(training.exploit_figure(material, {}))


@pytest.mark.slow
def test_policies_that_kept_nothing_say_why(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    few = copy.copy(material)
    few.__dict__["trainings"] = {"lead": "not learned", "ppo": "the bundle keeps no curves"}
    for draw in (training.curves_figure, training.gradient_figure):
        figure = draw(few)
        assert "lead: not learned" in words(figure)
        assert "ppo: the bundle keeps no curves" in words(figure)
        assert all(shows(axes) for axes in figure.axes)
        assert "no policy of this comparison was learned" in words(figure)


@pytest.mark.slow
def test_maps_that_are_missing_are_said_to_be_so(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "maps")
    bare = Material(tmp_path / "out")
    for draw in (margins.least_map_figure, margins.contact_map_figure):
        figure = draw(bare, "ideal")
        assert words(figure).count("not played") == len(bare.looks)
        assert all(shows(axes) for axes in figure.axes)


def test_a_folder_without_a_comparison_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="summary.json: cannot be read"):
        gallery.draw_all(tmp_path)


def test_approaches_can_be_told_apart_in_grey_too() -> None:
    config = Path(__file__).parents[3] / "config" / "comparison" / "default.yaml"
    plan = [{"safety": "rcbf", **each} for each in yaml.safe_load(config.read_text())["approaches"]]
    looks = looks_of(plan)
    assert len({(look.marker, str(look.line)) for look in looks}) == len(plan)
    assert len({(look.colour, str(look.line)) for look in looks}) == len(plan)
    by_bundle = {look.bundle: look.colour for look in looks if look.name != "hybrid"}
    assert all(look.colour == by_bundle[look.bundle] for look in looks if look.name != "hybrid")


def test_a_policy_learned_in_two_parts_shows_both() -> None:
    for name in ("cbf-beta", "barriernet"):
        found = training_of(name)
        provenance = json.loads((bundle_path(name, "pursuer") / "bundle.json").read_text())["provenance"]
        assert isinstance(found, Training)
        assert len(found.parts) == 2 or "no curves kept" in found.lacking
        assert found.offsets[-1] == provenance["start"]["steps"]
        steps, values = found.curve("capture_rate")
        assert steps[-1] == provenance["start"]["steps"] + provenance["steps"]
        assert (np.diff(steps) >= 0.0).all()
        assert np.isnan(values).sum() == len(found.parts) - 1
    assert training_of("lead") == "not learned"


def test_a_first_part_that_was_not_kept_is_named(tmp_path: Path) -> None:
    shutil.copytree(bundle_path("cbf-beta", "pursuer"), tmp_path / "policy")
    path = tmp_path / "policy" / "bundle.json"
    data = json.loads(path.read_text())
    data["provenance"]["start"]["seed"] = 99
    path.write_text(json.dumps(data))
    found = training_of(str(tmp_path / "policy"))
    assert isinstance(found, Training)
    assert found.lacking == "first part (40 M steps): no curves kept"
    assert found.offsets == (data["provenance"]["start"]["steps"],)
    (tmp_path / "policy" / "curves.json").unlink()
    assert training_of(str(tmp_path / "policy")) == "the bundle keeps no curves"


def test_a_running_mean_does_not_cross_a_gap() -> None:
    found = training.smoothed(np.array([1.0, 3.0, 5.0, math.nan, 10.0, 20.0]), 3)
    assert found[[0, 1, 2, 4, 5]].tolist() == [1.0, 3.0, 5.0, 10.0, 20.0]
    assert math.isnan(found[3])


def test_a_thinned_path_keeps_its_contacts() -> None:
    values = np.linspace(1.0, 2.0, 50)
    values[17] = -0.1
    rows, least = trajectories.thinned(values)
    assert rows[0] == 0 and rows[-1] == 49
    assert least.min() == -0.1
    assert len(rows) == len(least) < 20


@pytest.mark.slow
def test_tracks_are_framed_whole(material: Material, folder: Path, figures: dict[str, Figure]) -> None:
    track = load_track(next((folder / "tracks").glob("net_*central_obstacle*.npz")))
    axes = next(
        axes for axes in figures["trajectories_central_obstacle"].axes if axes.get_title(loc="left") == "Net"
    )
    points = track.poses[:, :, :2].reshape(-1, 2)
    assert points[:, 0].min() > axes.get_xlim()[0] and points[:, 0].max() < axes.get_xlim()[1]
    assert points[:, 1].min() > axes.get_ylim()[0] and points[:, 1].max() < axes.get_ylim()[1]
    width, height = (np.ptp(limits) for limits in (axes.get_xlim(), axes.get_ylim()))
    box = axes.get_window_extent()
    assert box.width / box.height == pytest.approx(width / height, rel=0.01)


def test_the_page_replays_the_chosen_approaches_side_by_side_from_every_kept_start(
    folder: Path, material: Material
) -> None:
    groups = groups_of(material)
    assert [group.title for group in groups] == [
        "Central obstacle, against lookahead at 1 times the speed",
        "Drawn start 0, against lookahead at 1 times the speed",
        "Drawn start 0, against lookahead at 1.2 times the speed",
    ]
    for group in groups:
        assert [track.name for track in group.tracks] == ["CBF-Beta", "Net", "lead pursuit → RCBF-QP"]
        starts = [track.poses[0] for track in group.tracks]
        assert all((start == starts[0]).all() for start in starts)
    page = (folder / "report.html").read_text()
    assert page.count('class="replay"') == 1 and ">Replay</a>" in page


def test_a_plan_that_replays_nothing_has_no_replay(material: Material) -> None:
    without = copy.copy(material)
    without.plan = {**material.plan, "tracks": {**material.plan["tracks"], "replayed": []}}
    assert groups_of(without) == []
