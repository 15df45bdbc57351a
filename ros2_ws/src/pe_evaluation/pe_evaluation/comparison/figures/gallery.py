"""All figures of a comparison, in files and in its reports."""

from __future__ import annotations

import base64
import dataclasses
import html
from collections.abc import Callable, Iterator
from pathlib import Path

from matplotlib.figure import Figure

from pe_core.files import replaced, write_text
from pe_evaluation.comparison.document import Section
from pe_evaluation.comparison.figures import actions, margins, task, training, trajectories
from pe_evaluation.comparison.figures.material import Material
from pe_evaluation.comparison.plan import IDEAL
from pe_evaluation.figures import save, svg

FIGURES = "figures"
_WORLDS = {"ideal": "", "randomised": ", robots, sensors and maps drawn anew"}


@dataclasses.dataclass(frozen=True)
class Picture:
    """One figure: the name of its files, its heading, what it shows, how it is drawn."""

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def pictures(material: Material) -> Iterator[Picture]:
    """Every figure of a comparison, in the order of a reader's questions."""
    summary = material.summary
    decision, limits = summary["decision"], summary["decision"].get("limits", (0.05, 0.15))
    yield Picture(
        "matrix",
        "Decision matrix",
        "Scores from 1 to 5 in colour, below each the number that it stands for; bars: weighted totals, black: their "
        "intervals over resampled episodes, 95 %.",
        lambda: task.matrix_figure(decision),
    )
    yield Picture(
        "gap",
        "From training to deployment",
        "What a policy loses from the conditions of its training to the deployed ones, in the same episodes: diamonds with "
        "intervals of 95 % over all cells, small marks below each cell (triangles: beyond the axis). Dashed: the limits of "
        "the decision rule. Left of 0 nothing is lost.",
        lambda: task.gap_figure(summary["gaps"], summary["gap_cells"], limits),
    )
    for world in material.worlds:
        yield Picture(
            f"captures{_tail(world)}",
            f"Captures by the evader's speed{_WORLDS.get(world, ', ' + world)}",
            "Share of the episodes with a capture, intervals of 95 % (Clopper-Pearson). The vertical axis is "
            "arcsin √share, on which intervals are about as wide anywhere. Within a speed the approaches stand side by side.",
            lambda world=world: task.capture_figure(material.looks, summary["cells"], world),  # type: ignore[misc]
        )
    for scenario in material.tracks:
        yield Picture(
            f"trajectories_{scenario}",
            f"Trajectories: {trajectories.describe(scenario)}",
            f"All approaches from the same start, against {material.plan['tracks']['evader']}. The line's core shows the "
            "body margin (red: contact), its edge the robot; arrows show how the filter changed the velocity of the control "
            "point, turns by a longer lever; dashed: the capture radius.",
            lambda scenario=scenario: trajectories.trajectory_figure(material.looks, material.tracks[scenario]),  # type: ignore[misc]
        )
    for world in material.worlds:
        yield from _of_world(material, world)
    yield Picture(
        "training",
        "Training curves",
        "Of each policy, as its bundle keeps them (curves.json): thin the points, thick their running mean. A policy that "
        "was learned in two parts has both, one after the other; the second meets other opponents, so its level is another.",
        lambda: training.curves_figure(material),
    )
    yield Picture(
        "gradients",
        "The program's correction and gradients in training",
        "Upper rows: of the policy with the program in its network, how far the program moves the policy's mean, and the "
        "gradient of a sample's loss behind and before the program. Last row: norm of the gradient of all parameters. "
        "Right: how often each value was found among the points of the curves.",
        lambda: training.gradient_figure(material),
    )
    yield Picture(
        "exploitability",
        "Best responses",
        "Evaders that were trained against one policy alone (docs/results/exploit_*.json): what the policy captures of them "
        "and of the evaders that it is known to meet, intervals of 95 % (Clopper-Pearson). A response that learning did not "
        "find may still exist.",
        lambda: training.exploit_figure(material, training.exploits()),
    )


def _of_world(material: Material, world: str) -> Iterator[Picture]:
    tail, where = _tail(world), _WORLDS.get(world, ", " + world)
    yield Picture(
        f"margins{tail}",
        f"Body margins{where}",
        "Of the pursuer. Left: the least margin of each episode; below each histogram a bar from its 5 % quantile to its "
        f"median (marker), a tick at the least of all; deeper contacts than {margins.DEEP:g} m are counted there, the widest "
        "2 % at the right edge. Right: the share of all control steps with a smaller margin.",
        lambda: margins.margin_figure(material, world),
    )
    maps = (
        (
            "map_margins",
            "Least margin over the arena",
            "The least margin of the pursuer's body at each place, over all episodes and layouts; red: contact, white: never "
            "visited.",
            margins.least_map_figure,
        ),
        (
            "map_contacts",
            "Contacts over the arena",
            "Share of the control steps at each place in which the pursuer's body touches something; grey: visited, none.",
            margins.contact_map_figure,
        ),
        (
            "map_corrections",
            "Corrections over the arena",
            "Mean size of the filter's correction at each place, sqrt((Δv / v_max)² + (Δω / ω_max)²); grey: visited, none.",
            margins.correction_map_figure,
        ),
    )
    for name, title, caption, draw in maps:
        yield Picture(
            f"{name}{tail}",
            f"{title}{where}",
            caption,
            lambda draw=draw: draw(material, world),  # type: ignore[misc]
        )
    yield Picture(
        f"actions{tail}",
        f"Commands, asked and executed{where}",
        "Of the pursuer, share of all control steps, logarithmic. What lies beyond a limit is counted in the last bin.",
        lambda: actions.action_figure(material, world),
    )
    yield Picture(
        f"smoothness{tail}",
        f"Jerk, steering and braking{where}",
        "Root mean square of the second difference of the executed command over dt²; of corrections, Σ|Δω|/ω_max over "
        "Σ|Δv|/v_max. Lines: 5 to 95 % of the episodes, bars: 25 to 75 %, markers: median; n: episodes that have a value, "
        "where not all do.",
        lambda: actions.smoothness_figure(material, world),
    )


def _tail(world: str) -> str:
    return "" if world == IDEAL else f"_{world}"


def draw_all(folder: Path, told: Callable[[str], None] | None = None) -> list[tuple[Picture, str]]:
    """Draw every figure of the comparison in ``folder`` to ``folder/figures`` (.svg, .png); also each as SVG text.

    ``told`` is called with the name of each that has been drawn.

    Raises:
        ConfigurationError: the folder holds no comparison that has been summarised.
    """
    material = Material(folder)
    out = []
    for picture in pictures(material):
        figure = picture.draw()
        text = svg(figure)
        write_text(folder / FIGURES / f"{picture.name}.svg", text)
        # The ending of a temporary name says what to write.
        with replaced(folder / FIGURES / f"{picture.name}.png") as temporary:
            image = temporary.with_suffix(".png")
            save(figure, image)
            image.replace(temporary)
        out.append((picture, text))
        if told is not None:
            told(picture.name)
    return out


def page_sections(folder: Path) -> list[tuple[str, str]]:
    """(title, HTML) of every figure, for the page; draws them."""
    return [(picture.title, _html(picture, text)) for picture, text in draw_all(folder)]


def _html(picture: Picture, text: str) -> str:
    data = base64.b64encode(text.encode()).decode()
    return (
        f'<img alt="{html.escape(picture.title)}" src="data:image/svg+xml;base64,{data}">'
        f'<p class="note">{html.escape(picture.caption)}</p>'
    )


def figures_section(folder: Path) -> Section:
    """What the report in Markdown shows: every figure, by its file beside the report."""
    blocks = [
        f"![{picture.title}]({FIGURES}/{picture.name}.svg)\n\n*{picture.title}.* {picture.caption}"
        for picture in pictures(Material(folder))
    ]
    return Section("Figures", tuple(blocks))
