"""Makes and removes the prefix of :mod:`pe_gazebo.installation` from Debian's packages.

All work is done in a folder beside the prefix, ``<prefix>.part``, which takes its place at the very end; what an
interruption leaves there is taken up by the next call: apt goes on with partial downloads, an archive counts once
its SHA-256 is that of the signed index, a package once its mark is written after its last file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pe_core.config import ConfigurationError
from pe_core.files import write_text
from pe_gazebo import apt
from pe_gazebo.installation import REMEDY, STAMP, VERSION, command_in, environment_in

WANTED = ("gazebo", "gazebo-plugin-base")
SPACE_MB = 1200
"""What archives and unpacked files take together, with some room left."""

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of it is done, 0 to 1."""


def install(target: Path, mirror: str | None, keyring: Path | None, progress: Progress) -> bool:
    """Bring Gazebo into ``target``; False where it was there already.

    Args:
        target: the prefix.
        mirror: address of a Debian mirror; by default that of this machine's apt.
        keyring: the keys of the Debian archive; by default this machine's.
        progress: told what is being done.

    Raises:
        ConfigurationError: this machine lacks something, there is no network or no space, or a file is not what the
            index says; the message says what to do.  What was done so far stays and is taken up by the next call.
    """
    with _alone(target, progress) as lock:
        if (target / STAMP).is_file():
            return False
        check_machine()
        mirror = apt.check_mirror(mirror) if mirror else apt.mirror_of(apt.machine_sources())
        keyring = keyring or apt.find_keyring()
        if not keyring.is_file():
            raise ConfigurationError(f"keyring = '{keyring}': there is no such file")
        if target.exists() and any(target.iterdir()):
            raise ConfigurationError(f"{target} is in the way: it is no Gazebo of ours and not empty")
        part = part_of(target)
        try:
            _fill(part, mirror, keyring, progress, lock)
            if target.exists():
                target.rmdir()
            (part / "root").rename(target)
        except OSError as error:
            raise ConfigurationError(f"{error.filename or part}: {error.strerror}") from error
        shutil.rmtree(part, ignore_errors=True)
        return True


def remove(target: Path) -> bool:
    """Remove the prefix and what an interrupted call has left beside it; False where there was nothing.

    Raises:
        ConfigurationError: the folder is no Gazebo that ``./pe setup gazebo`` has made.
    """
    gone = target.with_name(target.name + ".removed")
    with _alone(target, lambda *_: None):
        if target.exists() and not (target / STAMP).is_file():
            raise ConfigurationError(
                f"{target} was not made by {REMEDY}: it has no {STAMP}; nothing was removed"
            )
        found = [path for path in (target, part_of(target), gone) if path.exists()]
        if target.exists():
            shutil.rmtree(gone, ignore_errors=True)
            # Its name goes first, so that nobody ever sees half a Gazebo.
            target.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        shutil.rmtree(part_of(target), ignore_errors=True)
    return bool(found)


def part_of(target: Path) -> Path:
    """Where a prefix is made."""
    return target.with_name(target.name + ".part")


def check_machine() -> None:
    """Refuse a machine on which it cannot work.

    Raises:
        ConfigurationError: another processor or system, or apt-get or dpkg-deb is missing.
    """
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        found = f"{platform.system()} on {platform.machine()}"
        raise ConfigurationError(f"Gazebo's packages are taken for Linux on x86_64; this is {found}")
    missing = [name for name in ("apt-get", "dpkg-deb") if shutil.which(name) is None]
    if missing:
        raise ConfigurationError(
            f"{' and '.join(missing)}: not found; {REMEDY} needs Debian's or Ubuntu's package tools"
        )


def verified(path: Path, package: apt.Package) -> bool:
    """Whether an archive is there, whole and what the index says."""
    if not path.is_file() or path.stat().st_size != package.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == package.sha256


def check_space(folder: Path, packages: Sequence[apt.Package], done: int) -> None:
    """Refuse a disk that is too small; ``done`` [byte] of the work is there already."""
    wanted = SPACE_MB * 1_000_000 - done
    free = shutil.disk_usage(folder).free
    if free < wanted:
        fetched = sum(package.size for package in packages) / 1e6
        raise ConfigurationError(
            f"{folder}: {free / 1e6:.0f} MB free; Gazebo takes {SPACE_MB} MB while it is installed ({fetched:.0f} MB "
            "are fetched); make room, or name another folder in PE_GAZEBO"
        )


def _fill(part: Path, mirror: str, keyring: Path, progress: Progress, lock: int) -> None:
    (part / "root").mkdir(parents=True, exist_ok=True)
    (part / "unpacked").mkdir(exist_ok=True)
    options = ["-c", str(apt.prepare(part / "apt", mirror, keyring)), "-y", "-q"]
    progress("reading the index", 0.0)
    hint = "is there a network? another mirror: --mirror ADDRESS"
    _run(["apt-get", *options, "update"], lock, "the index of packages cannot be read", hint)
    # Looked up with an empty cache, for what is there already would not be listed.
    listed = ["-o", "Dir::Cache::archives=/dev/null/", "install", "--print-uris", *WANTED]
    packages = apt.parse_plan(_run(["apt-get", *options, *listed], lock, "the packages are not found", hint))
    check_space(part, packages, _size_of(part))
    archives = part / "apt" / "archives"
    _fetch(options, packages, archives, progress, lock)
    for number, package in enumerate(packages):
        progress("unpacking", number / len(packages))
        mark = part / "unpacked" / package.sha256
        if not mark.exists():
            command = ["dpkg-deb", "-x", str(archives / package.file), str(part / "root")]
            _run(command, lock, f"{package.file} cannot be unpacked", "is the disk full?")
            mark.touch()
    progress("checking", 1.0)
    _check_start(part)
    stamp = {"gazebo": VERSION, "packages": {package.file: package.sha256 for package in packages}}
    write_text(part / "root" / STAMP, json.dumps(stamp, indent=1) + "\n")


def _fetch(
    options: Sequence[str], packages: Sequence[apt.Package], archives: Path, progress: Progress, lock: int
) -> None:
    total = sum(package.size for package in packages)
    for package in packages:
        path = archives / package.file
        if path.exists() and not verified(path, package):
            path.unlink()

    def report() -> None:
        progress(f"fetching {total / 1e6:.0f} MB", min(1.0, _size_of(archives) / total))

    hint = f"run {REMEDY} again: it goes on from here"
    command = ["apt-get", *options, "install", "--download-only", *WANTED]
    _run(command, lock, "the packages cannot be fetched", hint, while_waiting=report)
    wrong = [package.file for package in packages if not verified(archives / package.file, package)]
    if wrong:
        raise ConfigurationError(f"{wrong[0]}: is not what the index says; {hint}")


def _run(
    command: Sequence[str],
    lock: int,
    failure: str,
    hint: str,
    while_waiting: Callable[[], None] = lambda: None,
) -> str:
    """Run a command to its end and return its output; a failure is told with the end of what it said."""
    # The wheels' libraries, which ./pe lets be found, are not for this machine's tools.
    own = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    environment = own | {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    # The lock goes along: should this process be killed, the next call waits for its orphan.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", env=environment, pass_fds=(lock,),
    ) as process:  # fmt: skip
        try:
            while True:
                try:
                    output, _ = process.communicate(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    while_waiting()
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        said = [
            line for line in output.splitlines() if line.startswith(("E:", "Err", "W:"))
        ] or output.splitlines()
        raise ConfigurationError("\n    ".join([f"{failure}; {hint}", *said[-6:]]))
    return output


def _check_start(part: Path) -> None:
    """Start the server once, which says its version (and, told to, ends with a status that is not zero)."""
    command = command_in(part / "root", "gzserver", "--version")
    environment = environment_in(part / "root", 11345, part)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if VERSION not in done.stdout:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise ConfigurationError(f"gzserver does not start; {REMEDY} --remove, then again\n    {said}")


def _size_of(folder: Path) -> int:
    """Bytes of the files under a folder, which may come and go meanwhile."""
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_size
    return total


@contextlib.contextmanager
def _alone(target: Path, progress: Progress) -> Iterator[int]:
    """Hold the folder above the prefix, so that two calls do not meet; gives the lock's descriptor."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigurationError(
            f"{target.parent}: {error.strerror}; name another folder in PE_GAZEBO"
        ) from error
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress("waiting for another ./pe setup gazebo", 0.0)
                time.sleep(0.2)
        yield lock
    finally:
        os.close(lock)
