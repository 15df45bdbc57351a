"""Environment of the processes that a launch starts; pure."""

from __future__ import annotations

import os
import random
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

# Above lie the ports of outgoing connections on Linux; below, what people choose by hand and tests take.
DOMAINS = range(62, 101)
RUN_TOKEN = "PE_RUN"
"""Environment variable that all processes of one run share, and no others."""
LAUNCHER = "PE_LAUNCHER"
"""Environment variable with the process id of what has launched the nodes, where that is not their parent."""
FASTDDS_PROFILES = "FASTRTPS_DEFAULT_PROFILES_FILE"


def child_environment(environment: Mapping[str, str], on_one_machine: bool = True) -> dict[str, str]:
    """The environment for nodes: one domain a run, this machine only, one thread, libraries of the wheels found.

    Where a run is not ``on_one_machine``, domain and range of discovery are left as the user has set them.

    The wheels of ROS re-execute every Python that starts without their library path, which doubles the time to
    start; setting it here avoids that.
    """
    result = dict(environment)
    result[RUN_TOKEN] = uuid.uuid4().hex
    result[LAUNCHER] = str(os.getpid())
    if on_one_machine:
        result.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().choice(DOMAINS)))
        result.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    result.setdefault("OMP_NUM_THREADS", "1")
    result.setdefault("PYTHONUNBUFFERED", "1")
    packages = Path(sys.prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    if (packages / "ros_wheels_bootstrapper").is_dir():
        paths = [entry for entry in result.get("LD_LIBRARY_PATH", "").split(os.pathsep) if entry]
        wanted = [str(Path(sys.prefix) / "lib"), *sorted(str(path) for path in packages.glob("ros_*.libs"))]
        result["LD_LIBRARY_PATH"] = os.pathsep.join([*(path for path in wanted if path not in paths), *paths])
        result["_ROS_WHEELS_BOOTSTRAP_COMPLETE"] = "1"
    return result
