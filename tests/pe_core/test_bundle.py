"""Policy bundles: what is built is what is committed; what is damaged or does not fit is refused, with the reason."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pe_core import observation
from pe_core.bundle import BundleError, NoiseSource, load_bundle, save_bundle
from pe_core.config import ConfigurationError
from pe_core.scripted.build import POLICIES, build, golden_observations, main, source_hash

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All scripted bundles, built by the command in a process of its own."""
    out = tmp_path_factory.mktemp("models")
    subprocess.run(
        [sys.executable, "-m", "pe_core.scripted.build", "--out", str(out)], check=True, timeout=200
    )
    return out


@pytest.fixture
def copy(models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(models / "pure", tmp_path / "pure"))


def rewrite(path: Path, change: Change, seal: bool = True) -> None:
    """Change the schema of a bundle and, like one who means it, seal it again."""
    data = json.loads((path / "bundle.json").read_text())
    change(data)
    if seal:
        body = {key: value for key, value in data.items() if key != "sha256"}
        data["sha256"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    (path / "bundle.json").write_text(json.dumps(data))


@pytest.mark.parametrize("name", POLICIES)
def test_the_committed_bundle_is_what_the_sources_build(name: str, models: Path, repository: Path) -> None:
    committed = repository / "models" / name
    schema = json.loads((committed / "bundle.json").read_text())
    assert schema["provenance"]["source_sha256"] == source_hash(), "run: python -m pe_core.scripted.build"
    built = json.loads((models / name / "bundle.json").read_text())
    np.testing.assert_allclose(built["golden"]["output"], schema["golden"]["output"], atol=1e-12)
    if schema["provenance"]["torch"] == torch.__version__.split("+")[0]:
        assert (models / name / "model.pt").read_bytes() == (committed / "model.pt").read_bytes()
        assert built == schema


@pytest.mark.parametrize("name", POLICIES)
def test_a_bundle_holds_no_path_of_the_machine_that_made_it(name: str, repository: Path) -> None:
    committed = repository / "models" / name
    with zipfile.ZipFile(committed / "model.pt") as archive:
        contents = b"".join(archive.read(entry) for entry in archive.namelist())
    for text in (contents, (committed / "bundle.json").read_bytes()):
        for path in (str(repository), sys.prefix, str(Path.home())):
            assert len(path) < 6 or path.encode() not in text
    assert sum(file.stat().st_size for file in committed.iterdir()) < 1_000_000


@pytest.mark.parametrize("name", POLICIES)
def test_a_bundle_loads_for_its_role_and_acts_as_the_module_does(name: str, models: Path) -> None:
    entry = POLICIES[name]
    bundle = load_bundle(str(models / name), role=entry.role, dt=0.05)
    bundle.warm_up()
    observations = golden_observations(entry.role)
    noise = np.full((len(observations), entry.noise_size), 0.4)
    inputs = [
        torch.from_numpy(value) for value in ((observations, noise) if entry.noise_size else (observations,))
    ]
    expected = entry.make().eval()(*inputs).numpy()
    np.testing.assert_allclose(bundle.act(observations, noise), expected, atol=1e-12)
    other = "evader" if entry.role == "pursuer" else "pursuer"
    with pytest.raises(BundleError, match=f"made for role {entry.role}; wanted: {other}"):
        load_bundle(str(models / name), role=other)


def test_another_control_period_is_refused(models: Path) -> None:
    with pytest.raises(BundleError, match="dt = 0.05 s; wanted: 0.1"):
        load_bundle(str(models / "pure"), dt=0.1)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="lead.*pure"):
        load_bundle("no_such_policy")


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_truncated_model_is_refused(copy: Path, keep: int) -> None:
    file = copy / "model.pt"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(BundleError, match="model.pt is truncated or was changed"):
        load_bundle(str(copy))


def test_one_changed_byte_of_the_model_is_refused(copy: Path) -> None:
    file = copy / "model.pt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match="truncated or was changed"):
        load_bundle(str(copy))


def test_a_model_that_is_no_torchscript_is_refused(copy: Path) -> None:
    (copy / "model.pt").write_bytes(b"not a module")
    digest = hashlib.sha256(b"not a module").hexdigest()
    rewrite(copy, lambda data: data.update(model_sha256=digest))
    with pytest.raises(BundleError, match="not a TorchScript module"):
        load_bundle(str(copy))


def test_a_missing_model_is_refused(copy: Path) -> None:
    (copy / "model.pt").unlink()
    with pytest.raises(BundleError, match=r"model\.pt cannot be read: No such file"):
        load_bundle(str(copy))


def test_another_policys_model_is_refused(copy: Path, models: Path) -> None:
    shutil.copy(models / "lead" / "model.pt", copy / "model.pt")
    digest = hashlib.sha256((copy / "model.pt").read_bytes()).hexdigest()
    with pytest.raises(BundleError, match="truncated or was changed"):
        load_bundle(str(copy))
    rewrite(copy, lambda data: data.update(model_sha256=digest))
    with pytest.raises(BundleError, match="golden output is missed by"):
        load_bundle(str(copy))


def test_a_schema_changed_without_its_hash_is_refused(copy: Path) -> None:
    rewrite(copy, lambda data: data.update(dt=0.1), seal=False)
    with pytest.raises(BundleError, match="bundle.json was changed"):
        load_bundle(str(copy))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 99}', "\x00\x01"])
def test_a_schema_that_is_no_schema_is_refused(copy: Path, text: str) -> None:
    (copy / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match="cannot be read|bundle format is"):
        load_bundle(str(copy))


def _swap(data: dict[str, Any]) -> None:
    names = data["observation"]["names"]
    names[3], names[4] = names[4], names[3]


MISFITS: dict[str, tuple[Change, str]] = {
    "order of the observation": (_swap, "schema mismatch .3: 'own_v' is not 'own_sin'"),
    "length of the observation": (lambda d: d["observation"]["names"].pop(), "schema mismatch .43 entries"),
    "version of the observation": (
        lambda d: d["observation"].update(version=99),
        "schema mismatch .44 entries of version 99",
    ),
    "role": (lambda d: d.update(role="referee"), "role 'referee'"),
    "type": (lambda d: d.update(dtype="float16"), "dtype 'float16'"),
    "inputs": (lambda d: d.update(inputs=["picture"]), "inputs .'picture'"),
    "missing key": (lambda d: d.pop("noise"), "lacks or garbles 'noise'"),
    "wrong kind": (lambda d: d.update(dt="soon"), "lacks or garbles"),
    "no golden rows": (lambda d: d["golden"].update(observation=[], output=[]), "wrong shapes"),
    "ragged golden rows": (
        lambda d: d["golden"].update(observation=[[0.0], [0.0, 1.0]]),
        "lacks or garbles|wrong shapes",
    ),
    "garbled golden noise": (lambda d: d["golden"].update(noise="x"), "golden input"),
    "golden output": (lambda d: d["golden"]["output"][0].__setitem__(0, 0.123), "golden output is missed by"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_schema_that_does_not_fit_is_refused_with_the_reason(copy: Path, misfit: str) -> None:
    change, reason = MISFITS[misfit]
    rewrite(copy, change)
    with pytest.raises(BundleError, match=reason) as caught:
        load_bundle(str(copy))
    assert "pure" in str(caught.value)


class _Constant(torch.nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        return torch.full([observation.size(0), 2], self.value, dtype=observation.dtype)


@pytest.mark.parametrize("value", [1.5, -2.0, float("nan"), float("inf")])
def test_a_policy_out_of_range_is_not_saved(value: float, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"not finite or not in \[-1, 1\]"):
        _save(_Constant(value), tmp_path / "constant", role="evader", dtype="float64")


@pytest.mark.parametrize(("role", "dtype"), [("referee", "float64"), ("evader", "float16")])
def test_an_unknown_role_or_type_is_not_saved(role: str, dtype: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="allowed"):
        _save(_Constant(0.5), tmp_path / "constant", role=role, dtype=dtype)


def test_a_float32_policy_takes_and_gives_float64(tmp_path: Path) -> None:
    _save(_Constant(0.25), tmp_path / "constant", role="evader", dtype="float32")
    action = load_bundle(str(tmp_path / "constant"), role="evader").act(np.zeros((3, observation.SIZE)))
    assert action.dtype == np.float64 and action.shape == (3, 2) and (action == 0.25).all()


def _save(module: torch.nn.Module, path: Path, role: str, dtype: str) -> None:
    save_bundle(
        module,
        path,
        name="constant",
        role=role,
        kind="test",
        dtype=dtype,
        noise_size=0,
        noise_hold=1,
        dt=0.05,
        golden_observations=np.zeros((2, observation.SIZE)),
        provenance={},
    )


def test_a_policy_that_wants_noise_says_so(models: Path) -> None:
    bundle = load_bundle(str(models / "random"))
    with pytest.raises(BundleError, match="needs noise of size 2"):
        bundle.act(np.zeros((1, observation.SIZE)))


def test_noise_is_held_and_is_a_function_of_seed_episode_and_step(models: Path) -> None:
    schema = load_bundle(str(models / "random")).schema
    source, again = NoiseSource(schema, 3, 5, 1200), NoiseSource(schema, 3, 5, 1200)
    other = NoiseSource(schema, 3, 6, 1200)
    np.testing.assert_array_equal(source.at(0), source.at(schema.noise_hold - 1))
    assert (source.at(0) != source.at(schema.noise_hold)).all()
    for step in (0, 19, 20, 777, 1199, 5000, -3):
        np.testing.assert_array_equal(source.at(step), again.at(step))
        assert source.at(step).shape == (1, schema.noise_size)
    assert (source.at(40) != other.at(40)).all()


def test_golden_observations_are_of_real_games() -> None:
    rows = golden_observations("pursuer")
    assert rows.shape == (16, observation.SIZE) and np.isfinite(rows).all()
    assert (np.abs(rows[:, :2]) < 1.0).all()
    np.testing.assert_allclose(np.hypot(rows[:, 2], rows[:, 3]), 1.0)
    assert {int(row[observation.FIXED_SIZE + 3 :: 4].sum()) for row in rows} == set(range(7))


def test_the_command_refuses_an_unknown_policy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no_such.*known: pure, lead"):
        build("no_such", tmp_path)


def test_the_command_builds_what_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["flee", "--out", str(tmp_path)])
    assert capsys.readouterr().out.strip() == str(tmp_path / "flee")
    assert load_bundle(str(tmp_path / "flee")).schema.role == "evader"
