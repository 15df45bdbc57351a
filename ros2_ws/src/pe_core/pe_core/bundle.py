"""Policy bundles: a TorchScript model with everything that is needed to run it, or to refuse it.

A bundle is a directory ``models/<name>/``:

    model.pt      TorchScript module, forward(observation (N, SIZE)[, noise (N, k)]) -> action (N, 2)
    bundle.json   its schema: role, dtype, inputs, observation entries in order, noise, output, dt, golden
                  input and output, provenance, SHA-256 of model.pt and of the schema itself
    model.onnx    the same for other programs, where it could be written; the schema then has its SHA-256

The action is dimensionless: v / v_max and omega / omega_max of the robot that runs it.  A policy that draws
random numbers is given them (uniform in [0, 1), held for ``noise.hold`` steps), so that it stays a pure function
and a run can be repeated.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pe_core import observation
from pe_core.config import ConfigurationError
from pe_core.files import replaced, write_text
from pe_core.paths import bundle_path
from pe_core.randomness import generator
from pe_core.roles import ROLES

FORMAT = 1
MODEL_FILE = "model.pt"
SCHEMA_FILE = "bundle.json"
ONNX_FILE = "model.onnx"
DTYPES = {"float32": torch.float32, "float64": torch.float64}
GOLDEN_TOLERANCE = {"float32": 1e-5, "float64": 1e-9}
GOLDEN_ROWS = 16
_ROWS = 16


class BundleError(ConfigurationError):
    """A bundle cannot be used; the message names the bundle and the reason."""


@dataclasses.dataclass(frozen=True)
class Schema:
    """The contents of ``bundle.json`` (see the module docstring)."""

    name: str
    role: str
    kind: str
    dtype: str
    inputs: tuple[str, ...]
    noise_size: int
    noise_hold: int
    dt: float
    provenance: dict[str, Any]
    model_sha256: str
    sha256: str
    onnx: dict[str, Any] | None = None
    """Of model.onnx, where there is one: its SHA-256, and how far it was from model.pt over how many inputs."""


class PolicyBundle:
    """A loaded, verified policy.  ``act`` maps observations to actions."""

    def __init__(self, schema: Schema, module: torch.jit.ScriptModule, path: Path) -> None:
        self.schema = schema
        self.path = path
        self._module = module
        self._dtype = DTYPES[schema.dtype]

    def act(
        self, observations: NDArray[np.float64], noise: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Actions (N, 2) in [-1, 1] for observations (N, SIZE) and, where the policy wants it, noise (N, k).

        Rows are padded to a multiple of ``_ROWS``: vector instructions and the scalar code for what is left over
        round differently, and an action must not depend on how many games are played at once.
        """
        rows = len(observations)
        with torch.inference_mode():
            inputs = [self._padded(observations)]
            if self.schema.noise_size:
                if noise is None:
                    raise BundleError(f"policy '{self.schema.name}': needs noise of size {self.schema.noise_size}")
                inputs.append(self._padded(noise))
            return self._module(*inputs)[:rows].to(torch.float64).numpy()

    def density(self, observations: NDArray[np.float64]) -> NDArray[np.float64]:
        """Parameters (N, k) of the density that the policy was trained with, for those that keep them (CBF-Beta's).

        Raises:
            BundleError: this one does not.
        """
        if not hasattr(self._module, "density"):
            raise BundleError(f"policy '{self.schema.name}': keeps no density of its training")
        with torch.inference_mode():
            found: torch.Tensor = self._module.density(self._padded(observations))
        return found[: len(observations)].to(torch.float64).numpy()

    def weights(self) -> dict[str, torch.Tensor]:
        """Parameters and buffers of the module by name, to go on learning from."""
        return dict(self._module.state_dict())

    def _padded(self, values: NDArray[np.float64]) -> torch.Tensor:
        missing = -len(values) % _ROWS
        if missing:
            values = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._dtype)

    def warm_up(self, calls: int = 20) -> None:
        """Run the model so often that TorchScript has specialised it before the first deadline."""
        for _ in range(calls):
            self.act(np.zeros((1, observation.SIZE)), np.zeros((1, max(self.schema.noise_size, 1))))


class NoiseSource:
    """The random inputs of one policy in one episode: a function of (seed, episode, role, step) alone."""

    def __init__(self, schema: Schema, seed: int, episode: int, steps: int) -> None:
        blocks = steps // max(schema.noise_hold, 1) + 2
        stream = generator(seed, episode, f"noise/{schema.role}")
        self._values = stream.random((blocks, max(schema.noise_size, 1)))
        self._hold = max(schema.noise_hold, 1)

    def at(self, step: int) -> NDArray[np.float64]:
        """The noise (1, k) of control step ``step``."""
        index = min(max(step, 0) // self._hold, len(self._values) - 1)
        return self._values[index : index + 1]


def load_bundle(name: str, role: str | None = None, dt: float | None = None) -> PolicyBundle:
    """Load and verify ``models/<name>`` (or a path).

    Args:
        name: bundle name or directory (:func:`pe_core.paths.bundle_path`).
        role: whose policy is meant where both have one of that name; refuse a bundle made for another.
        dt: refuse a bundle made for another control period [s].

    Raises:
        BundleError: with the reason, when anything in it is missing, changed, or does not fit this program.
        ConfigurationError: there is no such bundle.
    """
    path = bundle_path(name, role)
    data = _read_schema(path)
    schema = _parse_schema(path, data)
    if role is not None and schema.role != role:
        raise BundleError(f"policy '{name}' is made for role {schema.role}; wanted: {role}")
    if dt is not None and abs(dt - schema.dt) > 1e-9:
        raise BundleError(f"policy '{name}' is made for dt = {schema.dt:g} s; wanted: {dt:g} s")
    model_file = path / MODEL_FILE
    _check_digest(name, model_file, schema.model_sha256)
    if schema.onnx is not None and (path / ONNX_FILE).exists():
        _check_digest(name, path / ONNX_FILE, str(schema.onnx.get("sha256")))
    try:
        module = torch.jit.load(str(model_file), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise BundleError(f"policy '{name}': {MODEL_FILE} is not a TorchScript module: {error}") from error
    bundle = PolicyBundle(schema, module, path)
    _check_golden(bundle, data["golden"])
    return bundle


def save_bundle(
    module: torch.nn.Module,
    path: Path,
    *,
    name: str,
    role: str,
    kind: str,
    dtype: str,
    noise_size: int,
    noise_hold: int,
    dt: float,
    golden_observations: NDArray[np.float64],
    provenance: dict[str, Any],
) -> None:
    """Script ``module``, run it on the golden observations (n, SIZE), and write the bundle atomically.

    Raises:
        BundleError: the role or dtype is unknown, or an action is not finite or out of [-1, 1].
    """
    if role not in ROLES or dtype not in DTYPES:
        raise BundleError(f"policy '{name}': role {role!r}, dtype {dtype!r}: allowed: {ROLES}, {tuple(DTYPES)}")
    scripted = torch.jit.script(module.to(DTYPES[dtype]).eval())
    (path / ONNX_FILE).unlink(missing_ok=True)
    with replaced(path / MODEL_FILE) as temporary:
        temporary.write_bytes(_archive(scripted))
    golden_noise = np.linspace(0.05, 0.95, max(noise_size, 1) * len(golden_observations)).reshape(
        len(golden_observations), -1
    )
    bundle = PolicyBundle(
        Schema(name, role, kind, dtype, _inputs(noise_size), noise_size, noise_hold, dt, provenance, "", ""),
        torch.jit.load(str(path / MODEL_FILE)).eval(),
        path,
    )
    actions = bundle.act(golden_observations, golden_noise)
    if not np.isfinite(actions).all() or (np.abs(actions) > 1.0 + 1e-9).any():
        raise BundleError(f"policy '{name}': an action on the golden observations is not finite or not in [-1, 1]")
    data: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "role": role,
        "kind": kind,
        "dtype": dtype,
        "inputs": list(_inputs(noise_size)),
        "observation": {"version": observation.VERSION, "names": list(observation.NAMES)},
        "units": "dimensionless: lengths over half_side, speeds over v_max, turn rates over omega_max",
        "frames": "own pose in map; relative positions in base_link (x forward, y left)",
        "noise": {"size": noise_size, "hold": noise_hold, "distribution": "uniform [0, 1)"},
        "output": {"names": ["v/v_max", "omega/omega_max"], "low": [-1.0, -1.0], "high": [1.0, 1.0]},
        "dt": dt,
        "golden": {
            "observation": golden_observations.tolist(),
            "noise": golden_noise.tolist(),
            "output": actions.tolist(),
        },
        "provenance": provenance,
        "model_sha256": hashlib.sha256((path / MODEL_FILE).read_bytes()).hexdigest(),
    }
    data["sha256"] = _schema_digest(data)
    write_text(path / SCHEMA_FILE, json.dumps(data, indent=1) + "\n")


def add_onnx_file(path: Path, content: bytes, found: dict[str, Any]) -> None:
    """Put ``model.onnx`` beside the model of the bundle ``path``, and into its schema with what was found of it.

    Raises:
        BundleError: there is no such bundle.
    """
    data = _read_schema(path)
    with replaced(path / ONNX_FILE) as temporary:
        temporary.write_bytes(content)
    data["onnx"] = {"sha256": hashlib.sha256(content).hexdigest(), **found}
    data["sha256"] = _schema_digest(data)
    write_text(path / SCHEMA_FILE, json.dumps(data, indent=1) + "\n")


def _check_digest(name: str, file: Path, wanted: str) -> None:
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(f"policy '{name}': {file} cannot be read: {error.strerror}") from error
    if digest != wanted:
        raise BundleError(
            f"policy '{name}': {file.name} is truncated or was changed: SHA-256 {digest[:12]}..., "
            f"schema says {wanted[:12]}..."
        )


def _archive(scripted: torch.jit.ScriptModule) -> bytes:
    """The module as TorchScript writes it, without the paths of the sources on the machine that made it.

    Those are in the archive's debug entries.  Loading without them and saving again names the archive's own files
    instead; writing to memory keeps the name of a file out of it too, so that equal modules give equal bytes.
    """
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)
    stripped = io.BytesIO()
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(stripped, "w") as target:
        for entry in source.namelist():
            if not entry.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(entry), source.read(entry))
    stripped.seek(0)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.load(stripped, map_location="cpu"), buffer)
    return buffer.getvalue()


def _inputs(noise_size: int) -> tuple[str, ...]:
    return ("observation", "noise") if noise_size else ("observation",)


def _schema_digest(data: dict[str, Any]) -> str:
    # What runs is the same with an ONNX beside it, whose own digest is in its entry.
    body = {key: value for key, value in data.items() if key not in ("sha256", "onnx")}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _read_schema(path: Path) -> dict[str, Any]:
    try:
        data = json.loads((path / SCHEMA_FILE).read_text())
    except (OSError, ValueError) as error:
        raise BundleError(f"policy '{path.name}': {SCHEMA_FILE} cannot be read: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise BundleError(f"policy '{path.name}': bundle format is {found!r}; wanted: {FORMAT}")
    return data


def _parse_schema(path: Path, data: dict[str, Any]) -> Schema:
    name = path.name
    try:
        if data["sha256"] != _schema_digest(data):
            raise BundleError(f"policy '{name}': {SCHEMA_FILE} was changed: its SHA-256 does not match")
        version, names = data["observation"]["version"], tuple(data["observation"]["names"])
        schema = Schema(
            name=data["name"],
            role=data["role"],
            kind=data["kind"],
            dtype=data["dtype"],
            inputs=tuple(data["inputs"]),
            noise_size=int(data["noise"]["size"]),
            noise_hold=int(data["noise"]["hold"]),
            dt=float(data["dt"]),
            provenance=data["provenance"],
            model_sha256=data["model_sha256"],
            sha256=data["sha256"],
            onnx=None if data.get("onnx") is None else dict(data["onnx"]),
        )
        golden = data["golden"]
        shapes = (np.shape(golden["observation"]), np.shape(golden["output"]))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"policy '{name}': {SCHEMA_FILE} lacks or garbles {error}") from error
    if version != observation.VERSION or names != observation.NAMES:
        pairs = enumerate(zip(names, observation.NAMES, strict=False))
        odd = [f"{i}: {a!r} is not {b!r}" for i, (a, b) in pairs if a != b]
        reason = odd[0] if odd else f"{len(names)} entries of version {version}"
        raise BundleError(
            f"policy '{name}': observation schema mismatch ({reason}); "
            f"wanted: {observation.SIZE} entries of version {observation.VERSION}"
        )
    if schema.role not in ROLES or schema.dtype not in DTYPES or schema.inputs != _inputs(schema.noise_size):
        raise BundleError(
            f"policy '{name}': role {schema.role!r}, dtype {schema.dtype!r}, inputs {schema.inputs!r}: not known"
        )
    if len(shapes[0]) != 2 or shapes[0][0] == 0 or shapes[0][1] != observation.SIZE or shapes[1] != (shapes[0][0], 2):
        raise BundleError(f"policy '{name}': golden input {shapes[0]} and output {shapes[1]} have wrong shapes")
    return schema


def _check_golden(bundle: PolicyBundle, golden: dict[str, Any]) -> None:
    name, dtype = bundle.schema.name, bundle.schema.dtype
    try:
        output = bundle.act(np.asarray(golden["observation"], float), np.asarray(golden["noise"], float))
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"policy '{name}': the model does not run on its golden input: {error!r}") from error
    wanted = np.asarray(golden["output"], float)
    if output.shape != wanted.shape or not np.isfinite(output).all():
        raise BundleError(f"policy '{name}': the model's output {output.shape} is not finite of shape {wanted.shape}")
    miss = float(np.abs(output - wanted).max())
    if miss > GOLDEN_TOLERANCE[dtype]:
        raise BundleError(
            f"policy '{name}': golden output is missed by {miss:.3g}; allowed: {GOLDEN_TOLERANCE[dtype]:g}"
        )
