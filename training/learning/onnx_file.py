"""``model.onnx`` beside a bundle's TorchScript: the same policy for programs that know neither torch nor this project.

What is written takes any number N of rows of each of the bundle's inputs, in its type, and gives ``action`` (N, 2).  It
is run by onnxruntime on the inputs that the bundle is run on, and kept only if both agree.  A BarrierNet has branches
and loops for what is infeasible; it is written as :mod:`pe_safety.barrier_net_straight`, which has none.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pe_core.bundle import DTYPES, MODEL_FILE, PolicyBundle, add_onnx_file, load_bundle
from pe_core.config import ConfigurationError
from pe_core.scripted.build import golden_observations
from pe_safety.barrier_net import BarrierNet
from pe_safety.barrier_net_straight import StraightBarrierNet
from training.learning.parameters import BARRIERNET
from training.learning.rebuilt import module_of

EQUAL = 1e-5
"""Largest difference between ONNX and bundle, in action units."""
TRIED = 1000
OPSET = 17
_TRACED_ROWS = 16
_PACKAGES = ("onnx", "onnxruntime")


class OnnxError(ConfigurationError):
    """No ``model.onnx`` can be had; the message is one line that says why."""


def add_onnx(path: Path) -> dict[str, Any]:
    """Write ``model.onnx`` into the bundle ``path`` and what was found of it into its schema.

    Returns:
        ``difference``, the largest over ``inputs`` inputs in action units; ``opset``.

    Raises:
        OnnxError: onnx or onnxruntime is not installed, an operator has no ONNX, or the results differ.
        BundleError: the bundle is refused.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise OnnxError(f"not installed: {', '.join(missing)}; pip install 'pursuit-evasion[onnx]'")
    bundle = load_bundle(str(path))
    content = onnx_of(_module_of(bundle), _inputs(bundle, _TRACED_ROWS), bundle.schema.inputs)
    tried = _inputs(bundle, TRIED)
    wanted = bundle.act(*(value.double().numpy() for value in tried))
    difference = float(np.abs(run_onnx(content, tried, bundle.schema.inputs) - wanted).max())
    if not difference <= EQUAL:
        raise OnnxError(f"it differs from the bundle by {difference:.3g}; allowed: {EQUAL:g}")
    found = {"difference": difference, "inputs": TRIED, "opset": OPSET}
    add_onnx_file(path, content, found)
    return found


def onnx_of(module: nn.Module, inputs: list[torch.Tensor], names: tuple[str, ...]) -> bytes:
    """The module in ONNX; ``inputs`` are examples, whose number of rows is left open.

    Raises:
        OnnxError: an operator has no ONNX.
    """
    if isinstance(module, BarrierNet):
        module = StraightBarrierNet(module)
    _register()
    buffer, said = io.BytesIO(), io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                tuple(inputs),
                buffer,
                dynamo=False,
                opset_version=OPSET,
                input_names=list(names),
                output_names=["action"],
                dynamic_axes={name: {0: "n"} for name in (*names, "action")},
            )
    except (
        Exception
    ) as error:  # the exporter's own, RuntimeError, AssertionError and others: its classes share no base
        raise OnnxError(f"torch.onnx: {_line(error)}") from error
    return buffer.getvalue()


def run_onnx(content: bytes, inputs: list[torch.Tensor], names: tuple[str, ...]) -> NDArray[np.float64]:
    """Actions (N, 2) of ONNX ``content``, by onnxruntime on one thread of the CPU.

    Raises:
        OnnxError: onnxruntime has no kernel for an operator.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        feed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        action: NDArray[np.float64] = np.asarray(session.run(None, feed)[0], np.float64)
    except Exception as error:  # its classes share no base
        raise OnnxError(f"onnxruntime: {_line(error)}") from error
    return action


def _line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _inputs(bundle: PolicyBundle, n: int) -> list[torch.Tensor]:
    """n golden observations and, where the policy wants it, noise, in the bundle's type."""
    schema = bundle.schema
    values = [golden_observations(schema.role, n)]
    if schema.noise_size:
        values.append(np.random.default_rng(0).random((n, schema.noise_size)))
    return [torch.from_numpy(value).to(DTYPES[schema.dtype]) for value in values]


def _module_of(bundle: PolicyBundle) -> nn.Module:
    """What can be exported: the bundle's module; of a BarrierNet the module that it was scripted from."""
    if bundle.schema.kind == BARRIERNET:
        return module_of(bundle)
    return torch.jit.load(str(bundle.path / MODEL_FILE), map_location="cpu").eval()


def _register() -> None:
    """ONNX of the two operators that torch has none for: |(a, b)|, and s + v a / b."""

    def hypot(g: Any, a: Any, b: Any) -> Any:
        return g.op("Sqrt", g.op("Add", g.op("Mul", a, a), g.op("Mul", b, b)))

    def addcdiv(g: Any, s: Any, a: Any, b: Any, value: Any) -> Any:
        return g.op("Add", s, g.op("Mul", g.op("Div", a, b), value))

    torch.onnx.register_custom_op_symbolic("aten::hypot", hypot, OPSET)
    torch.onnx.register_custom_op_symbolic("aten::addcdiv", addcdiv, OPSET)
