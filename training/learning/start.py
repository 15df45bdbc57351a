"""What a training may begin with: the networks of another run, or the policy of a bundle."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pe_core.bundle import load_bundle
from pe_core.config import ConfigurationError
from pe_core.paths import bundle_path
from training.learning.parameters import KEPT_POLYGON
from training.learning.policies import GaussianPolicy, Policy

CHECKPOINT, RUN = "checkpoint.pt", "run.json"
_ORIGIN = ("command", "seed", "revision", "learning_sha256", "steps", "wall_s", "start")


def begin_with(start: Path, role: str, policy: Policy, critic: nn.Module) -> dict[str, Any]:
    """Take the networks of ``start``, a run folder of ``./pe train`` or a policy bundle; returns where they came from.

    A bundle holds the policy alone: the value is learned anew, by the training's ``critic_only`` first rollouts.

    Raises:
        ConfigurationError: it is neither, or its networks are not those of this training.
        BundleError: the bundle is damaged, or made for another role.
    """
    try:
        if (start / RUN).is_file() and (start / CHECKPOINT).is_file():
            origin = _from_run(start, policy, critic)
        else:
            origin = _from_bundle(start, role, policy)
    except RuntimeError as error:
        raise ConfigurationError(f"{start}: its networks are not those of this training: {error}") from error
    policy.confine()
    return origin


def _from_run(folder: Path, policy: Policy, critic: nn.Module) -> dict[str, Any]:
    then = json.loads((folder / RUN).read_text())
    state = torch.load(folder / CHECKPOINT, weights_only=True)
    policy.load_state_dict(state["policy"])
    critic.load_state_dict(state["critic"])
    then |= {"steps": state["steps"], "wall_s": round(state["wall"], 1)}
    return {key: then[key] for key in _ORIGIN if key in then}


def _from_bundle(start: Path, role: str, policy: Policy) -> dict[str, Any]:
    try:
        bundle_path(str(start), role)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{start}: nothing to start from; allowed: a run folder of ./pe train, with {RUN} and {CHECKPOINT}, or a "
            f"bundle ({error})"
        ) from error
    bundle = load_bundle(str(start), role)
    # What runs on the robot has the policy's own modules in it; of its constants TorchScript keeps all.
    module = policy.deterministic()
    constants = set(dict(module.named_buffers())) - set(module.state_dict())
    provenance, weights = bundle.schema.provenance, bundle.weights()
    if KEPT_POLYGON in provenance:
        weights = {key.removeprefix("net."): value for key, value in weights.items() if key.startswith("net.")}
    module.load_state_dict({key: value for key, value in weights.items() if key not in constants})
    spread = provenance.get("spread") or {}
    if isinstance(policy, GaussianPolicy) and spread:
        with torch.no_grad():
            policy.log_deviation[:] = torch.tensor(
                [math.log(spread[key]) for key in ("deviation_v", "deviation_omega")]
            )
    origin = {"bundle": bundle.schema.name, "sha256": bundle.schema.sha256}
    return origin | {key: provenance[key] for key in _ORIGIN if key in provenance}
