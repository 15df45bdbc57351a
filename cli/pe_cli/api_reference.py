"""Builds the reference with pdoc, and finds what it lacks: ``python -m pe_cli.api_reference OUT [PACKAGE...]``."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

PACKAGES = ("pe_core", "pe_safety", "pe_nodes", "pe_evaluation", "pe_gazebo", "training", "pe_cli")
MARK = "search.js"
"""A folder that holds this file is a reference, and may be replaced."""

OUTSIDE = ("http:", "https:", "mailto:", "data:")


class _Page(HTMLParser):
    """The anchors of a page, and what it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an ``id`` and an ``href``."""
        for name, value in attrs:
            if value and name == "id":
                self.anchors.add(value)
            elif value and name == "href" and tag == "a":
                self.links.add(value)


def broken_links(folder: Path) -> list[str]:
    """Links between the pages below ``folder`` that lead to no page, or to no anchor of it."""
    pages = {path.resolve(): _Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    faults = []
    for path, page in pages.items():
        for link in sorted(page.links):
            if link.startswith(OUTSIDE):
                continue
            place, _, anchor = unquote(link).partition("#")
            target = (path.parent / place).resolve() if place else path
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                faults.append(f"{path.relative_to(folder.resolve())}: {link} leads nowhere")
    return faults


def undocumented(package: str) -> list[str]:
    """The public modules, classes, functions and methods of a package that have no docstring, own or inherited.

    Left out are what a dataclass or a constructor adds, and what is taken from another module.
    """
    import pdoc.doc
    import pdoc.extract

    found = []
    for name in pdoc.extract.walk_specs([package]):
        module = pdoc.doc.Module(pdoc.extract.load_module(name))
        found += [] if module.docstring else [name]
        found += _without_docstring(module)
    return found


def _without_docstring(space: object) -> Iterator[str]:
    import pdoc.doc

    for member in space.own_members:  # type: ignore[attr-defined]
        if member.name.startswith("_"):
            continue
        if isinstance(member, pdoc.doc.Class | pdoc.doc.Function) and not member.docstring:
            yield member.fullname
        if isinstance(member, pdoc.doc.Class):
            yield from _without_docstring(member)


def unlinked(text: str) -> str:
    """A page without the links to private names, of which pdoc makes no anchors: the names alone."""
    return re.sub(r'<a href="[^"#]*#(?:[\w.]+\.)?_[^"]*"[^>]*>(.*?)</a>', r"\1", text)


def build(packages: list[str], out: Path) -> None:
    """Write the pages of ``packages`` below ``out``, all or none.

    Raises:
        ConfigurationError: ``out`` holds something else than a reference.
    """
    import pdoc
    import pdoc.render

    from pe_core.config import ConfigurationError
    from pe_core.provenance import version

    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARK).is_file())):
        raise ConfigurationError(f"--out {out}: allowed: a new or empty folder, or an earlier reference")
    out.parent.mkdir(parents=True, exist_ok=True)
    pdoc.render.configure(docformat="google", show_source=False, footer_text=f"pursuit-evasion {version()}")
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as made, warnings.catch_warnings():
        # Types that are imported for type checkers alone are shown as they are written.
        warnings.filterwarnings("ignore", message="Error parsing type annotation")
        pdoc.pdoc(*packages, output_directory=Path(made) / "pages")
        for page in (Path(made) / "pages").rglob("*.html"):
            page.write_text(unlinked(page.read_text()))
        if out.exists():
            shutil.rmtree(out)
        (Path(made) / "pages").rename(out)


def main(words: list[str]) -> int:
    """Build, check, and say what is wrong: 0 for nothing, 1 for something, 2 where nothing could be built."""
    from pe_core.config import ConfigurationError

    if importlib.util.find_spec("pdoc") is None:
        print("pe: pdoc is not installed; it comes with the extra 'docs': pip install -e .[docs]", file=sys.stderr)
        return 2
    known = [name for name in PACKAGES if importlib.util.find_spec(name)]
    out, packages = Path(words[0]), words[1:] or known
    unknown = sorted(set(packages) - set(known))
    if unknown:
        print(f"pe: --package {', '.join(unknown)}: allowed: {', '.join(known)}", file=sys.stderr)
        return 2
    try:
        build(packages, out)
    except ConfigurationError as error:
        print(f"pe: {error}", file=sys.stderr)
        return 2
    faults = [f"{name} has no docstring" for package in packages for name in undocumented(package)]
    faults += broken_links(out)
    print("\n".join([*faults, f"{out / 'index.html'}: {len(list(out.rglob('*.html')))} pages, {len(faults)} faults"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
