"""A policy in ONNX does what the bundle does; where there can be none, one line says why and the bundle is sound."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pe_core.bundle import BundleError, add_onnx_file, load_bundle, save_bundle
from pe_core.scripted.build import golden_observations
from pe_safety.barrier_net import BarrierNet
from pe_safety.barrier_net_straight import StraightBarrierNet
from tests.support.observed_states import observed_states
from tests.support.safety_states import ROBOT
from training.learning.onnx_file import EQUAL, OnnxError, add_onnx, onnx_of, run_onnx
from training.learning.parameters import ALGORITHMS, BARRIERNET, SHAC, Learning
from training.learning.run import make_policy

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")),
    reason="ONNX not installed",
)


class FromTable(nn.Module):
    """Asks for ``nominal[k]`` of the observation whose last entry is k."""

    def __init__(self, nominal: np.ndarray, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("nominal", torch.tensor(nominal, dtype=dtype))

    def forward(self, observation: Tensor) -> Tensor:
        return self.nominal[: observation.shape[0]]


def bundle_of(algorithm: str, out: Path) -> Path:
    learning = Learning(algorithm=algorithm, hidden=16)
    torch.manual_seed(0)
    policy = make_policy(learning)
    for parameter in policy.mean.net.parameters():
        parameter.data *= 4.0
    kind = BARRIERNET if algorithm == SHAC else algorithm
    save_bundle(
        policy.deterministic(), out, name=out.name, role="pursuer", kind=kind, dtype="float32", noise_size=0,
        noise_hold=1, dt=0.05, golden_observations=golden_observations("pursuer"),
        provenance={"learning": dataclasses.asdict(learning) | {"a parameter of long ago": 1}},
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def hard() -> tuple[np.ndarray, np.ndarray]:
    """Observations close to everything, also beyond, and actions asked there."""
    observed = observed_states(1, 2400, ROBOT)
    return observed.observations, observed.nominal


@pytest.mark.parametrize("defers", [False, True])
def test_straight_code_does_what_branches_and_loops_do(
    hard: tuple[np.ndarray, np.ndarray], defers: bool
) -> None:
    observations, nominal = hard
    policy = BarrierNet(FromTable(nominal, torch.float64), defers=defers).double()
    seen = torch.from_numpy(observations)
    expected, ours = policy(seen).numpy(), StraightBarrierNet(policy)(seen).numpy()
    assert (np.abs(expected - nominal).max(1) > 1e-3).mean() > 0.3, "many are corrected"
    other = np.abs(ours - expected).max(1) > 1e-9
    assert other.sum() <= 2, "nearly infeasible ones, which count as infeasible"
    instead = nominal.clip([0.0, -1.0], 1.0) if defers else np.zeros_like(nominal)
    np.testing.assert_array_equal(ours[other], instead[other])


@needs_onnx
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_bundle_gets_its_onnx_and_is_sound_with_it(algorithm: str, tmp_path: Path) -> None:
    path = bundle_of(algorithm, tmp_path / "trial")
    found = add_onnx(path)
    assert found["difference"] <= EQUAL and found["inputs"] == 1000
    schema = load_bundle(str(path)).schema
    assert schema.onnx is not None and schema.onnx["difference"] == found["difference"]
    content = (path / "model.onnx").read_bytes()
    for text in (str(Path(__file__).parents[3]), sys.prefix, str(tmp_path)):
        assert text.encode() not in content
    observations = golden_observations("pursuer", 37)
    inputs = [torch.from_numpy(observations).float()]
    for n in (1, 37):
        np.testing.assert_allclose(
            run_onnx(content, [inputs[0][:n]], ("observation",)),
            load_bundle(str(path)).act(observations[:n]),
            atol=EQUAL,
        )
    (path / "model.onnx").write_bytes(content[:-1])
    with pytest.raises(BundleError, match="model.onnx is truncated or was changed"):
        load_bundle(str(path))
    bundle_of(algorithm, path)
    assert not (path / "model.onnx").exists() and load_bundle(str(path)).schema.onnx is None


@needs_onnx
def test_a_program_runs_in_onnx_where_it_matters(hard: tuple[np.ndarray, np.ndarray]) -> None:
    observations, nominal = hard
    policy = BarrierNet(FromTable(nominal, torch.float32), defers=True)
    seen = torch.from_numpy(observations).float()
    content = onnx_of(policy, [seen[:16]], ("observation",))
    expected = StraightBarrierNet(policy)(seen).double().numpy()
    np.testing.assert_allclose(run_onnx(content, [seen], ("observation",)), expected, atol=EQUAL)


@needs_onnx
def test_what_has_no_onnx_is_said_in_one_line(repository: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(repository / "models" / "lead", tmp_path / "lead"))
    with pytest.raises(OnnxError, match="^torch.onnx: ") as caught:
        add_onnx(path)
    assert "\n" not in str(caught.value)
    assert load_bundle(str(path)).schema.onnx is None and not (path / "model.onnx").exists()


def test_without_the_packages_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle_of("ppo", tmp_path / "trial")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        OnnxError, match=r"not installed: onnx, onnxruntime; pip install 'pursuit-evasion\[onnx\]'"
    ):
        add_onnx(path)
    load_bundle(str(path))


@pytest.mark.parametrize(
    "name",
    ["ppo", "cbf-beta", "cbf-beta-polygon", "barriernet", "ppo-selfplay", "ppo-selfplay-pursuer", "barriernet-evader"],
)
def test_committed_policies_have_one_that_acts_as_they_do(name: str, repository: Path) -> None:
    path = repository / "models" / name
    bundle = load_bundle(str(path))
    assert bundle.schema.onnx is not None and bundle.schema.onnx["difference"] <= 1e-5
    observations = golden_observations(bundle.schema.role)
    found = run_onnx((path / "model.onnx").read_bytes(), [torch.from_numpy(observations).float()], bundle.schema.inputs)
    np.testing.assert_allclose(found, bundle.act(observations), atol=1e-5)


def test_the_schema_knows_a_file_that_is_added_and_the_policy_is_the_same(tmp_path: Path) -> None:
    path = bundle_of("ppo", tmp_path / "trial")
    before = load_bundle(str(path)).schema.sha256
    add_onnx_file(path, b"anything", {"difference": 0.0})
    schema = load_bundle(str(path)).schema
    assert schema.sha256 == before and json.loads((path / "bundle.json").read_text())["onnx"] == schema.onnx
    (path / "model.onnx").unlink()
    load_bundle(str(path))
