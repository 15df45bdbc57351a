"""The commands that documents, images and workflows show: taken out of Markdown, one list of words each."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

PROGRAMS = re.compile(
    r"^(?:\./pe|pe|ros2|colcon|docker|pip|bash|source|cd|\S*python[\d.]*|docker/entrypoint\.sh|\.ci/run)(?:\s|$)"
)
"""What begins a command that we know how to check."""

ASSIGNMENT = re.compile(r"^[A-Z][A-Z_]*=\S*\s+")
ALTERNATIVES = re.compile(r"(?<=\S)\|(?=\S)")
OPTIONAL = re.compile(r"(?<=\s)\[([^][]*)\]")
OMISSION = re.compile(r"…|\.\.\.")


@dataclass(frozen=True)
class Shown:
    """A command and where it stands. ``whole``: it is meant to be typed as it is, not named in a sentence."""

    place: str
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{self.place}: {shlex.join(self.words)}"


def in_markdown(path: Path, name: str) -> Iterator[Shown]:
    """Every command in the code of a Markdown file, which is called ``name`` in messages."""
    for token in MarkdownIt().enable("table").parse(path.read_text()):
        line = token.map[0] + 1 if token.map else 0
        if token.type in ("fence", "code_block"):
            if token.info.strip() not in ("", "bash", "sh", "console"):
                continue
            for number, text in _joined(token.content, line + (token.type == "fence")):
                yield from in_line(text, f"{name}:{number}", whole=True)
        for child in token.children or ():
            if child.type == "code_inline":
                yield from in_line(child.content, f"{name}:{line}", whole=False)


def in_script(text: str, name: str, first: int = 1) -> Iterator[Shown]:
    """Every command in a shell script, its lines counted from ``first``."""
    for number, line in _joined(text, first):
        yield from in_line(line, f"{name}:{number}", whole=True)


def in_line(line: str, place: str, whole: bool) -> Iterator[Shown]:
    """The commands of one line: comments, descriptions beside them and variables before them are dropped.

    What a synopsis leaves open is decided: ``[--option]`` is taken, of ``a|b`` each in turn. A command with an omission
    (``…``) is not whole.
    """
    line = re.sub(r"(?:^|\s)#\s.*$", "", line.strip().removeprefix("$ "))
    for part in re.split(r"&&|;|\s\|\s", line):
        text = part.strip()
        while ASSIGNMENT.match(text):
            text = ASSIGNMENT.sub("", text, count=1)
        if not PROGRAMS.match(text):
            continue
        text = re.split(r"\s{2,}(?=\w)", text)[0]
        for chosen in _alternatives(OPTIONAL.sub(r"\1", text)):
            complete = whole and not OMISSION.search(chosen)
            words = [word for word in shlex.split(chosen) if not OMISSION.fullmatch(word)]
            yield Shown(place, tuple(words), complete)


def _alternatives(text: str) -> Iterator[str]:
    """Of every ``a|b`` the first, then the second ..., words without one as they are."""
    words = [ALTERNATIVES.split(word) for word in text.split(" ")]
    for number in range(max(map(len, words))):
        yield " ".join(options[min(number, len(options) - 1)] for options in words)


def _joined(text: str, first: int) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; one that ends in a backslash goes on in the next."""
    held, start = "", first
    for number, line in enumerate(text.splitlines(), first):
        start = start if held else number
        held = f"{held} {line.strip()}" if held else line
        if held.endswith("\\"):
            held = held[:-1].rstrip()
            continue
        yield start, held
        held = ""
    if held:
        yield start, held
