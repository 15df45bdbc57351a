"""All figures of a comparison, in files and in its reports."""

from __future__ import annotations

import base64
import dataclasses
import html
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from pe_core.files import replaced, write_text
from pe_evaluation.comparison.document import Section
from pe_evaluation.comparison.figures import actions, margins, task, training, trajectories
from pe_evaluation.comparison.figures.material import Material
from pe_evaluation.comparison.plan import IDEAL
from pe_evaluation.figures import save, svg

FIGURES = "figures"
DECISION, TASK, PATHS, MARGINS, COMMANDS, TRAINING = (
    "Figures: matrix and gap", "Figures: captures", "Figures: trajectories", "Figures: margins, contacts, corrections",
    "Figures: commands and smoothness", "Figures: training and best responses",
)  # fmt: skip
INLINE_MOST = 300_000
"""Bytes of SVG up to which a page holds the drawing; a larger one is shown as its picture."""
_PATHS_SHOW = (
    "The line's core shows the body margin (red: contact), its edge the robot; arrows show how the filter changed the "
    "velocity of the control point, turns by a longer lever; dashed: the capture radius."
)
STARTS_MOST = 5
"""Recorded starts that are drawn; the replay has more."""
_WORLDS = {"ideal": "", "randomised": ", robots, sensors and maps drawn anew"}


@dataclasses.dataclass(frozen=True)
class Picture:
    """One figure: its section, the name of its files, its heading, what it shows, how it is drawn."""

    group: str
    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def pictures(material: Material) -> Iterator[Picture]:
    """Every figure of a comparison, in the order of a reader's questions."""
    summary = material.summary
    decision, limits = summary["decision"], summary["decision"].get("limits", (0.05, 0.15))
    yield Picture(
        DECISION,
        "matrix",
        "Decision matrix",
        "Scores from 1 to 5 in colour, below each the number that it stands for; bars: weighted totals, "
        "black: their intervals over resampled episodes, 95 %.",
        partial(task.matrix_figure, decision),
    )
    yield Picture(
        DECISION,
        "gap",
        "From training to deployment",
        "What a policy loses from the conditions of its training to the deployed ones, in the same "
        "episodes: diamonds with intervals of 95 % over all cells, small marks below each cell "
        "(triangles: beyond the axis). Dashed: the limits of the decision rule. Left of 0 nothing is lost.",
        partial(task.gap_figure, summary["gaps"], summary["gap_cells"], limits),
    )
    for world in material.worlds:
        yield Picture(
            TASK,
            f"captures{_tail(world)}",
            f"Captures by the evader's speed{_WORLDS.get(world, ', ' + world)}",
            "Share of the episodes with a capture, intervals of 95 % (Clopper-Pearson). The vertical axis "
            "is arcsin √share, on which intervals are about as wide anywhere. Within a speed the "
            "approaches stand side by side.",
            partial(task.capture_figure, material.looks, summary["cells"], world),
        )
    for start in list(material.tracks)[:STARTS_MOST] if material.recorded else ():
        yield Picture(
            PATHS,
            f"trajectories_{start}",
            f"Trajectories: {start.replace('_', ' ')}",
            "An episode that most approaches have recorded from one start: evader, its speed over the pursuer's, seed. "
            + _PATHS_SHOW,
            partial(trajectories.trajectory_figure, material.looks, material.tracks[start]),
        )
    for scenario in () if material.recorded else material.tracks:
        yield Picture(
            PATHS,
            f"trajectories_{scenario}",
            f"Trajectories: {trajectories.describe(scenario)}",
            f"All approaches from the same start, against {material.plan['tracks']['evader']}. {_PATHS_SHOW}",
            partial(trajectories.trajectory_figure, material.looks, material.tracks[scenario]),
        )
    for world in material.worlds:
        yield from _of_world(material, world)
    yield Picture(
        TRAINING,
        "training",
        "Training curves",
        "Of each policy, as its bundle keeps them (curves.json): thin the points, thick their running "
        "mean. A policy that was learned in two parts has both, one after the other; the second meets "
        "other opponents, so its level is another.",
        partial(training.curves_figure, material),
    )
    yield Picture(
        TRAINING,
        "gradients",
        "The program's correction and gradients in training",
        "Upper rows: of the policy with the program in its network, how far the program moves the "
        "policy's mean, and the gradient of a sample's loss behind and before the program. Last row: norm "
        "of the gradient of all parameters. Right: how often each value was found among the points of the "
        "curves.",
        partial(training.gradient_figure, material),
    )
    yield Picture(
        TRAINING,
        "exploitability",
        "Best responses",
        "Evaders that were trained against one policy alone (docs/results/exploit_*.json): what the "
        "policy captures of them and of the evaders that it is known to meet, intervals of 95 % "
        "(Clopper-Pearson). Gap: what the response gains. One that learning did not find may still exist.",
        lambda: training.exploit_figure(material, training.exploits()),
    )


def _of_world(material: Material, world: str) -> Iterator[Picture]:
    tail, where = _tail(world), _WORLDS.get(world, ", " + world)
    yield Picture(
        MARGINS,
        f"margins{tail}",
        f"Body margins{where}",
        "Of the pursuer. Left: the least margin of each episode; below each histogram a bar from its 5 % "
        "quantile to its median (marker), a tick at the least of all; deeper contacts than "
        f"{margins.DEEP:g} m are counted there, the widest 2 % at the right edge. Right: the share of all "
        "control steps with a smaller margin.",
        partial(margins.margin_figure, material, world),
    )
    maps = (
        (
            "map_margins",
            "Least margin over the arena",
            "The least margin of the pursuer's body at each place, over all episodes and layouts; red: "
            "contact, white: never visited.",
            margins.least_map_figure,
        ),
        (
            "map_contacts",
            "Contacts over the arena",
            "Share of the control steps at each place in which the pursuer's body touches something; "
            "grey: visited, none.",
            margins.contact_map_figure,
        ),
        (
            "map_corrections",
            "Corrections over the arena",
            "Mean size of the filter's correction at each place, sqrt((Δv / v_max)² + (Δω / ω_max)²); "
            "grey: visited, none.",
            margins.correction_map_figure,
        ),
    )
    for name, title, caption, draw in maps:
        yield Picture(
            MARGINS,
            f"{name}{tail}",
            f"{title}{where}",
            caption,
            partial(draw, material, world),
        )
    yield Picture(
        COMMANDS,
        f"actions{tail}",
        f"Commands, asked and executed{where}",
        "Of the pursuer, share of all control steps, logarithmic. What lies beyond a limit is counted in "
        "the last bin.",
        partial(actions.action_figure, material, world),
    )
    yield Picture(
        COMMANDS,
        f"smoothness{tail}",
        f"Jerk, steering and braking{where}",
        "Root mean square of the second difference of the executed command over dt²; of corrections, "
        "Σ|Δω|/ω_max over Σ|Δv|/v_max. Lines: 5 to 95 % of the episodes, bars: 25 to 75 %, markers: "
        "median; n: episodes that have a value, where not all do.",
        partial(actions.smoothness_figure, material, world),
    )


def _tail(world: str) -> str:
    return "" if world == IDEAL else f"_{world}"


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A picture that has been drawn to ``path`` with the endings .svg and .png."""

    picture: Picture
    path: Path

    def html(self) -> str:
        """Heading, image and caption, the image inside."""
        vector = self.path.with_suffix(".svg")
        small = vector.stat().st_size <= INLINE_MOST
        kind, path = ("svg+xml", vector) if small else ("png", self.path.with_suffix(".png"))
        data, title = base64.b64encode(path.read_bytes()).decode(), html.escape(self.picture.title)
        return (
            f'<article id="figure-{self.picture.name}"><h3>{title}</h3>'
            f'<img alt="{title}" src="data:image/{kind};base64,{data}">'
            f'<p class="note">{html.escape(self.picture.caption)}</p></article>'
        )

    def markdown(self) -> str:
        """The image beside the report, and the caption."""
        title = self.picture.title
        return f"![{title}]({FIGURES}/{self.path.name}.svg)\n\n**{title}.** {self.picture.caption}"


def draw_all(folder: Path, told: Callable[[str], None] | None = None) -> list[Drawn]:
    """Draw every figure of the comparison in ``folder`` to ``folder/figures``, .svg and .png.

    ``told`` is called with the name of each that has been drawn.

    Raises:
        ConfigurationError: the folder holds no comparison that has been summarised.
    """
    out = []
    for picture in pictures(Material(folder)):
        figure, path = picture.draw(), folder / FIGURES / picture.name
        write_text(path.with_suffix(".svg"), svg(figure))
        # The ending says what to write, so the picture is made beside its temporary name.
        with replaced(path.with_suffix(".png")) as temporary:
            image = temporary.with_name(f"{temporary.name}.png")
            try:
                save(figure, image)
                image.replace(temporary)
            finally:
                image.unlink(missing_ok=True)
        out.append(Drawn(picture, path))
        if told is not None:
            told(picture.name)
    return out


def page_sections(drawn: Sequence[Drawn]) -> list[tuple[str, str]]:
    """(title, HTML) of every group of figures, for the page."""
    return [(group, "".join(each.html() for each in found)) for group, found in _grouped(drawn).items()]


def report_sections(drawn: Sequence[Drawn]) -> list[Section]:
    """The same for the report in Markdown, by the files beside it."""
    return [
        Section(group, tuple(each.markdown() for each in found)) for group, found in _grouped(drawn).items()
    ]


def _grouped(drawn: Sequence[Drawn]) -> dict[str, list[Drawn]]:
    out: dict[str, list[Drawn]] = {}
    for each in drawn:
        out.setdefault(each.picture.group, []).append(each)
    return out
