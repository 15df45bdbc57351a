"""What the documents show works: every command has the options that it is shown with, every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.repository.sources import REPOSITORY, package_folders
from tests.support.command_checks import fault
from tests.support.shown_commands import Shown, in_line, in_markdown

DOCUMENTS = sorted(
    path for where in (".", "docs", "docs/results", "models") for path in (REPOSITORY / where).glob("*.md")
)


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_command_is_one_that_the_command_line_takes(path: Path) -> None:
    faults = [f"{shown}\n    {wrong}" for shown in in_markdown(path, name_of(path)) if (wrong := fault(shown))]
    assert not faults, "\n".join(faults)


def test_the_readme_shows_commands_at_all() -> None:
    shown = [command.words for command in in_markdown(REPOSITORY / "README.md", "README.md") if command.whole]
    assert ("./pe", "test") in shown and any(words[:2] == ("./pe", "launch") for words in shown)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("./pe launch pursuit.launch.py rate:=0 episodes:=3      # the main job", None),
        ("./pe launch pursuit.launch.py rates:=0", "rates:=0"),
        ("./pe launch pursuit.launch.py rate:=-1", "rate"),
        ("./pe launch pursue.launch.py", "pursue.launch.py"),
        ("./pe evaluate --pursuer nobody --evader flee", "nobody"),
        ("./pe evaluate --pursuer lead", "Missing option"),
        ("./pe bag out/bag --audits", "--audits"),
        ("./pe bench qp|control-loop [--json F]", None),
        ("./pe bench qp|nothing", "nothing"),
        ("./pe train ppo extra", "extra"),
        ("./pe fly", "fly"),
        ("ros2 run pe_nodes watchdog --ros-args -p robot:=turtlebot4 -p time:=1", "time"),
        ("ros2 run pe_nodes watch", "watch"),
        ("ros2 launch pe_bringup pursuit.launch.py seeds:=1", "seeds:=1"),
        ("pip install -e .[video,tests]", "tests"),
        ("python -m tests.bench.nothing", "tests.bench.nothing"),
        ("docker build -f docker/Dockerfile --target tests .", "tests"),
        ("docker compose -f docker/compose.yaml --profile simulation up", "simulation"),
        ("docker compose -f docker/compose.yaml exec robot entrypoint pe robot stop", None),
        ("docker compose … exec gazebo entrypoint pe robot arm", "Missing argument"),
        ("docker compose … exec -T gazebo entrypoint pe robot fly", "fly"),
        ("docker compose … exec gazebo pe robot stop", "entrypoint"),
        ("docker compose … exec arena entrypoint pe robot stop", "arena"),
        ("ROS_DOMAIN_ID=42 ./pe doctor --everything", "--everything"),
        ("cd ros2 && ./pe test", "ros2"),
    ],
)
def test_the_command_rule_itself(line: str, said: str | None) -> None:
    found = [wrong for shown in in_line(line, "here", whole=True) if (wrong := fault(shown))]
    assert said in found[0] if said else not found


def test_commands_are_seen_in_every_kind_of_code(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    table = "| `./pe falsify` |\n|-|\n"
    document.write_text(f"Say `./pe doctor`.\n\n    ./pe test   # all\n\n```\n./pe bag \\\n  BAG\n```\n\n{table}")
    assert list(in_markdown(document, "page")) == [
        Shown("page:1", ("./pe", "doctor"), whole=False),
        Shown("page:3", ("./pe", "test"), whole=True),
        Shown("page:6", ("./pe", "bag", "BAG"), whole=True),
        Shown("page:10", ("./pe", "falsify"), whole=False),
    ]


def tokens(path: Path) -> Iterator[Token]:
    for token in MarkdownIt().enable("table").parse(path.read_text()):
        yield token
        yield from token.children or ()


def anchors(path: Path) -> set[str]:
    """What headings are called in a link: lower case, hyphens for spaces, without other punctuation."""
    found: dict[str, int] = {}
    listed = list(tokens(path))
    for opened, inline in zip(listed, listed[1:], strict=False):
        if opened.type == "heading_open":
            text = "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            found[slug] = found.get(slug, -1) + 1
    return {slug if not number else f"{slug}-{number}" for slug, last in found.items() for number in range(last + 1)}


def link_fault(document: Path, target: str) -> str | None:
    """Why a relative link leads nowhere; None where it leads somewhere, or out of the repository."""
    place, _, anchor = unquote(target).partition("#")
    if re.match(r"[a-z]+:", place):
        return None
    path = (document.parent / place).resolve() if place else document
    if not path.exists() or not path.is_relative_to(REPOSITORY):
        return f"{place} is not there"
    if anchor and path.suffix == ".md" and anchor not in anchors(path):
        return f"{place or document.name} has no heading #{anchor}; it has: {', '.join(sorted(anchors(path)))}"
    return None


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_link_and_anchor_leads_somewhere(path: Path) -> None:
    targets = [str(token.attrs.get("href") or token.attrs["src"]) for token in tokens(path) if token.type in LINKS]
    faults = [wrong for target in targets if (wrong := link_fault(path, target))]
    assert not faults, "\n".join(faults)


LINKS = ("link_open", "image")


def test_a_missing_heading_is_named() -> None:
    readme = REPOSITORY / "README.md"
    assert link_fault(readme, "#two-commands") is None
    assert "no heading #three-commands" in (link_fault(readme, "#three-commands") or "")
    assert "docs/nothing.md is not there" in (link_fault(readme, "docs/nothing.md") or "")


def quoted_symptoms() -> list[str]:
    """What docs/troubleshooting.md says that a program prints: the code in the first column of its tables."""
    lines = (REPOSITORY / "docs" / "troubleshooting.md").read_text().splitlines()
    first = [line.split(" | ")[0] for line in lines if line.startswith("| ")]
    return [code for cell in first for code in re.findall(r"`([^`]+)`", cell) if not code.startswith(("./", "--"))]


def test_every_message_that_troubleshooting_quotes_is_one_that_we_print() -> None:
    """Between omissions, word for word; what another program prints is named here."""
    others = {"No module named 'torch'"}
    sources = [path.read_text() for folder in package_folders().values() for path in folder.rglob("*.py")]
    sources.append((REPOSITORY / "pe").read_text())
    said = re.sub(r"\{[^{}]*\}", "…", re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources)))
    parts = {part.strip(" '") for code in quoted_symptoms() if code not in others for part in code.split("…")}
    assert len(parts) > 20
    lost = sorted(part for part in parts - {"bag_2.mcap", "error:"} if part not in said)
    assert not lost, "\n".join(lost)


def test_every_page_is_linked_from_the_readme_or_a_page_that_is() -> None:
    """A page that nothing leads to is not read."""
    reached, waiting = set(), [REPOSITORY / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for token in tokens(page):
            target = str(token.attrs.get("href", "")).partition("#")[0]
            path = (page.parent / target).resolve()
            if target.endswith(".md") and path.is_file() and path not in reached:
                waiting.append(path)
    lost = [name_of(path) for path in DOCUMENTS if path not in reached]
    assert not lost, ", ".join(lost)
