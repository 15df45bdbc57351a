#!/usr/bin/env bash
# Sources ROS 2 and the workspace, then becomes the command: signals reach it, and its exit status is the container's.
# Not -u: the setup files of ROS 2 read variables that may be unset.
set -eo pipefail

ros_setup=${ROS_SETUP:-/opt/ros/${ROS_DISTRO:-jazzy}/setup.bash}
workspace_setup=${PE_WORKSPACE:-/opt/ws}/setup.bash

for file in "$ros_setup" "$workspace_setup"; do
    if [[ ! -r $file ]]; then
        echo "entrypoint: $file is not there: ROS_SETUP and PE_WORKSPACE say where ROS 2 and the workspace are" >&2
        exit 2
    fi
    # Without arguments of its own: a setup file would take ours for its options.
    # shellcheck disable=SC1090
    source "$file" --
done

(($#)) || set -- bash
exec "$@"
