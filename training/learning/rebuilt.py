"""The modules that a bundle was scripted from, made again of what its provenance says."""

from __future__ import annotations

import dataclasses

from torch import nn

from pe_core.bundle import BundleError, PolicyBundle
from pe_core.config import from_mapping
from pe_safety.beta_net import BetaNet
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
