"""Features are functions of the observation, and the canonical frame has the symmetry of the square."""

from __future__ import annotations

import numpy as np
import torch

from pe_core.observation import FIXED_SIZE, NAMES, OBSTACLE_SIZE, SIZE
from pe_core.scripted.build import golden_observations
from training.features import FEATURES, Canonical, Features
from training.networks import Actor

OBSERVATIONS = torch.from_numpy(golden_observations("pursuer", 64)).float()


def mirrored(observations: torch.Tensor) -> torch.Tensor:
    """The same games in a mirror: y to -y."""
    out = observations.clone()
    odd = [k for k, name in enumerate(NAMES) if name in {"own_y", "own_sin", "own_omega", "opponent_omega"}]
    odd += [NAMES.index("opponent_y_body"), NAMES.index("opponent_sin_relative")]
    odd += list(range(FIXED_SIZE + 1, SIZE, OBSTACLE_SIZE))
    out[:, odd] *= -1.0
    return out


def turned(observations: torch.Tensor) -> torch.Tensor:
    """The same games with the map turned by 90 degrees."""
    out = observations.clone()
    out[:, 0], out[:, 1] = -observations[:, 1], observations[:, 0]
    out[:, 2], out[:, 3] = -observations[:, 3], observations[:, 2]
    return out


def test_the_canonical_frame_is_the_same_for_all_eight_images() -> None:
    canonical, here = Canonical(True), OBSERVATIONS
    frame, sign = canonical(here)
    for image in (here, mirrored(here)):
        side = 1.0 if image is here else -1.0
        for _ in range(4):
            image = turned(image)
            found, other = canonical(image)
            torch.testing.assert_close(found, frame, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(other, side * sign)
    x, y, c, s = (frame[:, k] for k in range(4))
    px, py = x + c * frame[:, 6] - s * frame[:, 7], y + s * frame[:, 6] + c * frame[:, 7]
    assert (py >= -1e-6).all() and (px >= py - 1e-6).all()


def test_a_symmetric_policy_turns_the_other_way_in_a_mirror_and_a_plain_one_does_not_have_to() -> None:
    torch.manual_seed(0)
    for symmetric in (True, False):
        policy = Actor([16], "tanh", symmetric)
        with torch.no_grad():
            for layer in policy.net:
                if isinstance(layer, torch.nn.Linear):
                    layer.weight.normal_(0.0, 0.5)
            one, other = policy(OBSERVATIONS), policy(turned(mirrored(OBSERVATIONS)))
        other[:, 1] *= -1.0
        assert torch.allclose(one, other, atol=1e-4) == symmetric


def test_features_are_finite_and_tell_distances_and_directions() -> None:
    found = Features()(OBSERVATIONS)
    assert found.shape == (64, FEATURES) and torch.isfinite(found).all()
    dx, dy = OBSERVATIONS[:, 6], OBSERVATIONS[:, 7]
    torch.testing.assert_close(found[:, SIZE], torch.hypot(dx, dy), rtol=1e-4, atol=1e-5)
    angle = np.arctan2(dy.numpy(), dx.numpy())
    np.testing.assert_allclose(found[:, SIZE + 3].numpy(), np.cos(angle), atol=1e-4)
    none = OBSERVATIONS[:, FIXED_SIZE + 3] == 0.0
    assert none.any() and not found[none][:, SIZE + 10 :].any()


def test_derived_features_are_those_of_the_class_s_words() -> None:
    seen, found = OBSERVATIONS.double().numpy(), Features()(OBSERVATIONS).double().numpy()[:, SIZE:]
    for o, f in zip(seen, found, strict=True):
        heading, there = np.arctan2(o[3], o[2]), np.hypot(o[6], o[7])
        bearing, turn = np.arctan2(o[7], o[6]), np.arctan2(o[9], o[8])
        wanted = [there, 0.3 * np.log(there + 0.01), 0.05 / (there + 0.05), np.cos(bearing), np.sin(bearing)]
        wanted += [o[0] + there * np.cos(heading + bearing), o[1] + there * np.sin(heading + bearing)]
        size = np.hypot(o[8], o[9]) * np.hypot(o[2], o[3])
        wanted += [size * np.cos(heading + turn), size * np.sin(heading + turn), o[10] * o[12]]
        for x, y, radius, present in o[FIXED_SIZE:].reshape(-1, 4):
            away, apart = np.hypot(x, y), np.hypot(x - o[6], y - o[7])
            angle = np.arctan2(y, x)
            wanted += [v * present for v in (away - radius, apart - radius, np.cos(angle), np.sin(angle))]
        assert np.abs(f - wanted).max() < 1e-4, np.abs(f - wanted).argmax()
