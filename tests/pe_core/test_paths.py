"""Where configuration and bundles are found: PE_HOME, the checkout, an ament prefix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pe_core import paths
from pe_core.config import ConfigurationError


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("PE_HOME", raising=False)
    paths.share_directory.cache_clear()
    yield
    paths.share_directory.cache_clear()


def make_home(folder: Path) -> Path:
    (folder / "config" / "robots").mkdir(parents=True)
    (folder / "config" / "robots" / "hexapod.yaml").write_text("name: hexapod\n")
    (folder / "models" / "mine").mkdir(parents=True)
    (folder / "models" / "mine" / "bundle.json").write_text("{}")
    return folder


def test_checkout_is_found_without_settings(repository: Path) -> None:
    assert paths.share_directory() == repository
    assert paths.config_path("robots", "reference") == repository / "config" / "robots" / "reference.yaml"


def test_pe_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PE_HOME", str(make_home(tmp_path)))
    assert paths.config_names("robots") == ["hexapod"]
    assert paths.bundle_path("mine") == tmp_path / "models" / "mine"


def test_ament_prefix_is_found_where_there_is_no_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "install" / "share" / "pe_bringup")
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "elsewhere" / "paths.py"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path / 'install'}")
    assert paths.share_directory() == home


def test_nothing_found_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "a" / "paths.py"))
    monkeypatch.setattr(paths.sys, "prefix", str(tmp_path))
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    with pytest.raises(ConfigurationError, match="PE_HOME.*setup.bash"):
        paths.share_directory()


@pytest.mark.parametrize("kind", ["robots", "arena", "scenarios", "safety"])
def test_unknown_name_lists_the_known_ones(kind: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        paths.config_path(kind, "nonsense")
    assert "'nonsense' is unknown" in str(error.value)
    for name in paths.config_names(kind):
        assert name in str(error.value)


def test_path_to_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("name: own\n")
    assert paths.config_path("robots", str(path)) == path
    with pytest.raises(ConfigurationError, match="known: "):
        paths.config_path("robots", str(tmp_path / "missing.yaml"))


def test_boundary_by_name_and_by_path(tmp_path: Path, repository: Path) -> None:
    assert paths.BOUNDARY in paths.boundary_names()
    committed = paths.boundary_path(paths.BOUNDARY)
    assert committed == repository / "models" / "feasibility" / f"{paths.BOUNDARY}.npz"
    assert paths.boundary_path(str(committed)) == committed
    for missing in ("nonsense", str(tmp_path / "missing.npz")):
        with pytest.raises(ConfigurationError, match=f"'{missing}' is unknown; known: .*{paths.BOUNDARY}"):
            paths.boundary_path(missing)


def test_unknown_policy_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="policy 'nonsense' is unknown; known: .*lead.*lookahead"):
        paths.bundle_path("nonsense")


def test_a_name_of_both_roles_means_the_one_of_the_role_that_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path)
    (home / "models" / "mine-evader").mkdir()
    (home / "models" / "mine-evader" / "bundle.json").write_text("{}")
    monkeypatch.setenv("PE_HOME", str(home))
    assert paths.bundle_path("mine", "pursuer").name == paths.bundle_path("mine").name == "mine"
    assert paths.bundle_path("mine", "evader").name == "mine-evader"
