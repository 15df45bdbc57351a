"""What a node says of itself on ``/diagnostics`` that another node acts upon; pure."""

ESTIMATOR = "state_estimator"
INITIAL_POSE = "initial_pose_ns"
"""The estimator's: stamp [ns] of the initial pose that it took last, -1 before the first."""
