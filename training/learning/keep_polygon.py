"""Of a CBF-Beta bundle one that keeps its polygon: it drives the mean of the density that it was trained with."""

from __future__ import annotations

import shutil
from pathlib import Path

from pe_core.bundle import BundleError, load_bundle
from pe_safety.beta_net import BetaNet
from pe_safety.parameters import load_safety
from training.learning.curves import THINNED
from training.learning.export import compare
from training.learning.parameters import BOX, CBF_BETA, KEPT_POLYGON
from training.learning.rebuilt import learning_of, module_of, save_like


def keep_polygon(bundle: str, name: str, out: Path) -> tuple[Path, dict[str, float]]:
    """Write ``out/name``: the networks of ``bundle`` in a :class:`pe_safety.beta_net.BetaNet`.

    Returns:
        The new bundle's directory; how far it is from the modules it was made of, and milliseconds a call, as
        :func:`training.learning.export.export`.

    Raises:
        BundleError: it is no CBF-Beta, was trained on boxes, keeps its polygon already, or does something else then.
        ConfigurationError: there is no such bundle.
    """
    old = load_bundle(bundle)
    schema = old.schema
    if schema.kind != CBF_BETA or KEPT_POLYGON in schema.provenance:
        what = "keeps its polygon already" if schema.kind == CBF_BETA else f"is a {schema.kind}"
        raise BundleError(f"policy '{schema.name}': {what}; allowed: a {CBF_BETA} as ./pe policy export wrote it")
    learning = learning_of(old)
    if learning.support == BOX:
        raise BundleError(f"policy '{schema.name}': support = '{BOX}': allowed: polygon, the set that is kept")
    gamma = load_safety(learning.safety).gamma
    module = BetaNet(module_of(old), gamma)
    kept = {KEPT_POLYGON: {"gamma": gamma, "bundle": schema.name, "sha256": schema.sha256}}
    save_like(schema, module, out / name, name, kept)
    if (old.path / THINNED).is_file():
        shutil.copyfile(old.path / THINNED, out / name / THINNED)
    return out / name, compare(module, out / name)
