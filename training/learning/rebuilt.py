"""The modules that a bundle was scripted from, made again of what its provenance says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pe_core.bundle import DTYPES, BundleError, PolicyBundle, Schema, load_bundle, save_bundle
from pe_core.config import from_mapping
from pe_core.scripted.build import golden_observations
from pe_safety.beta_net import BetaNet
from training.learning.export import TRIED, compare
from training.learning.parameters import KEPT_POLYGON, Learning
from training.learning.run import make_policy


def learning_of(bundle: PolicyBundle) -> Learning:
    """The parameters of its training.

    Raises:
        BundleError: it does not say them.
        ConfigurationError: one of them is none.
    """
    where = f"policy '{bundle.schema.name}'"
    mapping = bundle.schema.provenance.get("learning")
    if not isinstance(mapping, dict):
        raise BundleError(
            f"{where}: its provenance has no 'learning'; allowed: what ./pe policy export wrote"
        )
    # Parameters that are no more are left out: what matters to the network has stayed, and its results are compared.
    known = {field.name for field in dataclasses.fields(Learning)}
    return from_mapping(Learning, {key: mapping[key] for key in mapping if key in known}, where)


def module_of(bundle: PolicyBundle) -> nn.Module:
    """Network, and what stands behind it, with the bundle's weights.

    Raises:
        BundleError, ConfigurationError: as :func:`learning_of`; a weight is missing.
    """
    module = make_policy(learning_of(bundle)).deterministic()
    if KEPT_POLYGON in bundle.schema.provenance:
        module = BetaNet(module, bundle.schema.provenance[KEPT_POLYGON]["gamma"])
    missing = module.load_state_dict(bundle.weights(), strict=False).missing_keys
    if missing:
        raise BundleError(f"policy '{bundle.schema.name}': its model has no {missing[0]!r}")
    return module.eval()


REBUILT = "rebuilt"
"""Key of the provenance of a bundle that was scripted again: SHA-256 of what it was before, oldest first."""


def save_like(schema: Schema, module: nn.Module, path: Path, name: str, provenance: dict[str, Any]) -> None:
    """Write ``module``, a learned policy without noise, as the bundle ``path``: one like that of ``schema``.

    ``provenance`` is added to that of ``schema``.
    """
    save_bundle(
        module,
        path,
        name=name,
        role=schema.role,
        kind=schema.kind,
        dtype=schema.dtype,
        noise_size=0,
        noise_hold=1,
        dt=schema.dt,
        golden_observations=golden_observations(schema.role),
        provenance=schema.provenance | provenance,
    )


def rebuild(name: str) -> tuple[Path, dict[str, float]]:
    """Script the bundle ``name`` again in its place, of the modules of today and its own weights.

    Returns:
        Its directory; how far it is from the modules, and milliseconds a call, as
        :func:`training.learning.export.export`.

    Raises:
        BundleError: it does not say how it was made, or one of 1000 actions, asked for at once or one by one, is not
            the same to the last bit; nothing is changed then.
        ConfigurationError: there is no such bundle.
    """
    old = load_bundle(name)
    schema, module = old.schema, module_of(old).to(DTYPES[old.schema.dtype])
    seen = golden_observations(schema.role, TRIED)
    new = PolicyBundle(schema, torch.jit.script(module), old.path)
    difference = max(float(np.abs(new.act(part) - old.act(part)).max()) for part in (seen, *np.split(seen, len(seen))))
    if difference != 0.0:
        raise BundleError(
            f"policy '{schema.name}': differs by {difference:.3g} when scripted again; allowed: 0, or what was "
            "measured of it would be of another policy"
        )
    earlier = [*schema.provenance.get(REBUILT, []), schema.sha256]
    save_like(schema, module, old.path, schema.name, {REBUILT: earlier})
    return old.path, compare(module, old.path)
