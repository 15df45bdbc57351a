"""A private apt: Debian's packages of another release, looked up and fetched without touching this machine's own.

It has its own lists, cache, status (empty: nothing is installed) and one source; from this machine it takes how the
network is reached, and by default the mirror, which is written in no file of the project.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pe_core.config import ConfigurationError

SUITE = "bullseye"
_DEBIAN = re.compile(
    r"(?:buster|bullseye|bookworm|trixie|forky|sid|(?:old)*stable|testing|unstable)(?:-(?:updates|backports))?"
)
_MIRROR = re.compile(r"[a-z][a-z+]*:/[^\s\"';\[\]{}]+")
_KEYRINGS = (
    "usr/share/keyrings/debian-archive-keyring.gpg",
    "etc/apt/trusted.gpg.d/debian-archive-keyring.gpg",
)


@dataclasses.dataclass(frozen=True)
class Package:
    """One package file: its name in apt's cache, size [byte] and SHA-256 as the signed index has it."""

    file: str
    size: int
    sha256: str


def machine_sources(etc: Path = Path("/etc/apt")) -> dict[str, str]:
    """The text of every source file that this machine's apt reads, by path."""
    folder = etc / "sources.list.d"
    paths = [etc / "sources.list", *sorted(folder.glob("*.sources")), *sorted(folder.glob("*.list"))]
    return {str(path): path.read_text(errors="replace") for path in paths if path.is_file()}


def mirror_of(sources: Mapping[str, str]) -> str:
    """The first Debian mirror that the source files (text by path) name.

    Raises:
        ConfigurationError: none of them names one, as on another distribution.
    """
    for path, text in sources.items():
        entries = _deb822(text) if path.endswith(".sources") else _one_line(text)
        for uris, suites in entries:
            if uris and any(_DEBIAN.fullmatch(suite) for suite in suites):
                return check_mirror(uris[0])
    raise ConfigurationError(
        "this machine's apt sources name no Debian mirror; name one: ./pe setup gazebo --mirror ADDRESS"
    )


def check_mirror(mirror: str) -> str:
    """The mirror's address without a trailing slash, refused where it is none."""
    if not _MIRROR.fullmatch(mirror):
        raise ConfigurationError(
            f"mirror = {mirror!r}: allowed: an address that apt takes, as SCHEME://HOST/debian"
        )
    return mirror.rstrip("/")


def _deb822(text: str) -> Iterable[tuple[list[str], list[str]]]:
    """(addresses, suites) of every enabled stanza for binary packages."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        joined = re.sub(r"\n[ \t]+", " ", stanza)
        pairs = (line.partition(":") for line in joined.splitlines())
        fields = {name.strip().lower(): value.split() for name, _, value in pairs}
        disabled = fields.get("enabled", ["yes"])[:1] in (["no"], ["false"], ["0"])
        if "deb" in fields.get("types", []) and not disabled:
            yield fields.get("uris", []), fields.get("suites", [])


def _one_line(text: str) -> Iterable[tuple[list[str], list[str]]]:
    """(addresses, suites) of every ``deb`` line."""
    for line in text.splitlines():
        words = re.sub(r"\[[^\]]*\]", " ", line.partition("#")[0]).split()
        if len(words) >= 3 and words[0] == "deb":
            yield [words[1]], [words[2]]


def find_keyring(root: Path = Path("/")) -> Path:
    """The keys of the Debian archive.

    Raises:
        ConfigurationError: this machine has none.
    """
    for name in _KEYRINGS:
        if (root / name).is_file():
            return root / name
    raise ConfigurationError(
        "the keys of the Debian archive are not on this machine: apt install debian-archive-keyring, "
        "or ./pe setup gazebo --keyring FILE"
    )


def prepare(folder: Path, mirror: str, keyring: Path) -> Path:
    """Lay out a private apt in ``folder``; returns its configuration file, for ``apt-get -c``.

    The file is read after this machine's own, so its hooks and its cleaning of caches are switched off here.
    """
    for name in ("lists/partial", "archives/partial", "log"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    source = f'deb [arch=amd64 signed-by="{keyring}"] {mirror} {SUITE} main\n'
    (folder / "sources.list").write_text(source)
    settings = {
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Install-Recommends": "false",
        "APT::Install-Suggests": "false",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "APT::Default-Release": "",
        "APT::Keep-Downloaded-Packages": "true",
        "Acquire::ForceHash": "SHA256",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Dir::State": f"{folder}",
        "Dir::State::lists": f"{folder}/lists/",
        "Dir::State::status": f"{folder}/status",
        "Dir::State::extended_states": f"{folder}/extended_states",
        "Dir::Cache": f"{folder}",
        "Dir::Cache::archives": f"{folder}/archives/",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Log": f"{folder}/log/",
        "Dir::Etc::sourcelist": f"{folder}/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Debug::NoLocking": "false",
    }
    hooks = ("APT::Architectures", "APT::Update::Pre-Invoke", "APT::Update::Post-Invoke",
             "APT::Update::Post-Invoke-Success", "DPkg::Pre-Invoke", "DPkg::Post-Invoke",
             "DPkg::Pre-Install-Pkgs")  # fmt: skip
    lines = [f"#clear {name};" for name in hooks] + [f'{name} "{value}";' for name, value in settings.items()]
    path = folder / "apt.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


def parse_plan(text: str) -> list[Package]:
    """The packages of ``apt-get install --print-uris``: lines ``'ADDRESS' FILE SIZE SHA256:DIGEST``.

    Raises:
        ConfigurationError: a line gives no SHA-256, so that nothing could be checked.
    """
    packages = []
    for line in text.splitlines():
        if not line.startswith("'"):
            continue
        words = line.rpartition("' ")[2].split()
        if len(words) != 3 or not re.fullmatch(r"SHA256:[0-9a-f]{64}", words[2]):
            raise ConfigurationError(f"apt gives no SHA-256 for a package: {' '.join(words)}")
        packages.append(Package(words[0], int(words[1]), words[2].removeprefix("SHA256:")))
    return packages
