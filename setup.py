"""Adds launch files, configuration and policy bundles to a wheel, under share/pursuit_evasion.

models/seeds stays out: other parts and seeds of the trainings, which only documents and training configurations name.
Everything else about the distribution stands in pyproject.toml. An editable install reads these folders from
the checkout, so it gets no second copy which could grow old.
"""

import os
import sys

from setuptools import setup

LEFT_OUT = {os.path.join("models", "seeds")}


def files_below(folder: str) -> list[tuple[str, list[str]]]:
    """The files under `folder`, each kept at its place under share/pursuit_evasion."""
    listed = []
    for root, folders, files in os.walk(folder):
        kept = (name for name in folders if name != "__pycache__" and os.path.join(root, name) not in LEFT_OUT)
        folders[:] = sorted(kept)
        if files:
            listed.append((f"share/pursuit_evasion/{root}", sorted(os.path.join(root, name) for name in files)))
    return listed


editable = "editable_wheel" in sys.argv
folders = () if editable else ("config", "launch", "models")
setup(data_files=[entry for folder in folders for entry in files_below(folder)])
