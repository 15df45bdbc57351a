"""SDF's own description of its elements, as Gazebo installs it: Gazebo itself accepts misspelt ones without a word."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element


def faults(document: Element, folder: Path) -> list[str]:
    """Every element or attribute of an SDF document that the descriptions in ``folder`` do not know, by its path."""
    return list(_faults(document, _described(folder / "root.sdf"), folder, document.tag))


@cache
def _described(path: Path) -> Element:
    return ElementTree.parse(path).getroot()


def _faults(element: Element, description: Element, folder: Path, path: str) -> Iterator[str]:
    known = {each.get("name") for each in description.findall("attribute")}
    yield from (f"{path}@{name}" for name in element.attrib if name not in known)
    if element.tag == "plugin":
        return  # a plugin's children are its own
    children = _children(description, folder)
    for child in element:
        if child.tag in children:
            yield from _faults(child, children[child.tag], folder, f"{path}/{child.tag}")
        else:
            yield f"{path}/{child.tag}"


def _children(description: Element, folder: Path) -> dict[str | None, Element]:
    # A version of SDF may mention what only a later one describes.
    files = [folder / str(each.get("filename")) for each in description.findall("include")]
    included = [_described(path) for path in files if path.is_file()]
    return {each.get("name"): each for each in [*description.findall("element"), *included]}
