"""A report as sections of paragraphs and tables, written as Markdown or as HTML."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells of text; ``numbers`` aligns all but the first column to the right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: bool = True


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading with what stands under it, in order."""

    title: str
    blocks: tuple[str | Table, ...]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = True) -> Table:
    """A table from any sequences.

    Raises:
        ValueError: a row has another number of cells than the head, or an empty one.
    """
    found = Table(tuple(head), tuple(tuple(row) for row in rows), numbers)
    for row in found.rows:
        if len(row) != len(found.head) or not all(cell.strip() for cell in row):
            raise ValueError(f"row {row!r} under {found.head!r}: a cell is missing or empty")
    return found


def markdown(title: str, sections: Iterable[Section]) -> str:
    """The whole document as Markdown."""
    parts = [f"# {title}\n"]
    for section in sections:
        parts.append(f"## {section.title}\n")
        parts += [
            f"{block}\n" if isinstance(block, str) else _markdown_table(block) for block in section.blocks
        ]
    return "\n".join(parts)


def _markdown_table(found: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"

    right = "---:" if found.numbers else "---"
    rule = "| --- | " + " | ".join([right] * (len(found.head) - 1)) + " |\n"
    return line(found.head) + rule + "".join(line(row) for row in found.rows)


def section_html(section: Section) -> str:
    """One section as HTML; where no table follows, its paragraphs are not notes but the matter itself."""
    plain = not any(isinstance(block, Table) for block in section.blocks)
    blocks = (f"<p>{html.escape(b)}</p>" if plain and isinstance(b, str) else _block(b) for b in section.blocks)
    return f"<section><h2>{html.escape(section.title)}</h2>{''.join(blocks)}</section>"


def _block(block: str | Table) -> str:
    if isinstance(block, str):
        return f'<p class="note">{html.escape(block)}</p>'
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in block.head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in block.rows
    )
    kind = "numbers plain" if block.numbers else "words"
    body = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="scroll"><table class="{kind}">{body}</table></div>'


def _cell(text: str) -> str:
    kind = {"pass": "good", "passed": "good", "FAIL": "bad", "FAILED": "bad"}.get(text)
    shown = html.escape(text)
    return f'<b class="{kind}">{shown}</b>' if kind else shown
