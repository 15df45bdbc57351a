"""A trained policy as a bundle: TorchScript, without noise, with where it came from."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pe_core.arena import arena_of, load_arena
from pe_core.bundle import DTYPES, BundleError, PolicyBundle, load_bundle, save_bundle
from pe_core.config import ConfigurationError, from_mapping
from pe_core.files import write_text
from pe_core.scripted.build import golden_observations
from training.learning.curves import THINNED, read_curves, thin
from training.learning.parameters import BARRIERNET, SHAC, Learning
from training.learning.policies import Policy
from training.learning.run import CHECKPOINT, CURVES, RUN, make_policy

EQUAL = 1e-5
"""Largest difference between the bundle and the policy that it was made of, in action units."""
TRIED = 1000


def load_policy(run: Path) -> tuple[Policy, Learning, dict[str, Any]]:
    """The policy of a run folder, its parameters, and where it came from.

    Raises:
        ConfigurationError: the folder holds no training, or one that has saved nothing yet.
    """
    for name in (RUN, CHECKPOINT):
        if not (run / name).is_file():
            raise ConfigurationError(f"{run}: no {name}; allowed: a run folder of ./pe train")
    data = json.loads((run / RUN).read_text())
    learning = from_mapping(Learning, data["learning"], str(run / RUN))
    state = torch.load(run / CHECKPOINT, weights_only=True)
    policy = make_policy(learning)
    policy.load_state_dict(state["policy"])
    provenance = {
        "command": data["command"],
        "seed": data["seed"],
        "steps": state["steps"],
        "wall_s": round(state["wall"], 1),
        "revision": data["revision"],
        "learning_sha256": data["learning_sha256"],
        "learning": data["learning"],
        "torch": data["torch"],
        "spread": policy.spread(),
    }
    provenance |= {key: data[key] for key in ("start", "resumed", "self_play") if key in data}
    return policy.eval(), learning, provenance


def export(run: Path, name: str, out: Path) -> tuple[Path, dict[str, float]]:
    """Write the policy of the run folder ``run`` as bundle ``out/name`` and compare it with what it was made of.

    Returns:
        The bundle's directory; the largest difference over 1000 inputs, and milliseconds a call at batch one.

    Raises:
        BundleError: the bundle does something else than the policy.
    """
    policy, learning, provenance = load_policy(run)
    module = policy.deterministic()
    config = load_arena(arena_of("auto", learning.robot))
    save_bundle(
        module,
        out / name,
        name=name,
        role=learning.role,
        kind=BARRIERNET if learning.algorithm == SHAC else learning.algorithm,
        dtype="float32",
        noise_size=0,
        noise_hold=1,
        dt=config.dt,
        golden_observations=golden_observations(learning.role),
        provenance=provenance,
    )
    found = compare(module, out / name)
    curves = thin(read_curves(run / CURVES))
    write_text(out / name / THINNED, "[\n" + ",\n".join(json.dumps(line) for line in curves) + "\n]\n")
    return out / name, found


def compare(module: nn.Module, path: Path) -> dict[str, float]:
    """How the bundle ``path`` acts beside the ``module`` that it was made of.

    Returns:
        ``difference``, the largest over 1000 inputs; ``call_ms``, milliseconds a call at batch one.

    Raises:
        BundleError: it acts otherwise.
    """
    bundle = load_bundle(str(path))
    observations = golden_observations(bundle.schema.role, TRIED)
    with torch.inference_mode():
        eager = module(torch.from_numpy(observations).to(DTYPES[bundle.schema.dtype])).double().numpy()
    difference = float(np.abs(bundle.act(observations) - eager).max())
    if not difference <= EQUAL:
        raise BundleError(
            f"policy '{bundle.schema.name}': differs from the trained one by {difference:.3g}; allowed: {EQUAL:g}"
        )
    return {"difference": difference, "call_ms": call_ms(bundle, observations)}


def call_ms(bundle: PolicyBundle, observations: np.ndarray, calls: int = 400) -> float:
    """Median time of one call at batch one, on one thread [ms]."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        bundle.warm_up()
        times = []
        for i in range(calls):
            row = observations[i % len(observations)][None]
            start = time.perf_counter()
            bundle.act(row)
            times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return 1e3 * float(np.median(times))
