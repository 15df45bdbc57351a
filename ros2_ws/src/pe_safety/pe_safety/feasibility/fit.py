"""Fit the network of :mod:`pe_safety.feasibility.model` to labelled states."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pe_safety.feasibility.features import SIZE
from pe_safety.feasibility.model import FeasibilityModel


def fit_network(
    features: NDArray[np.float64],
    labels: NDArray[np.bool_],
    horizon: int,
    *,
    width: int = 24,
    epochs: int = 12,
    batch: int = 1024,
    false_alarms: float = 0.15,
    alarms: float = 0.01,
    seed: int = 0,
) -> FeasibilityModel:
    """A network by Adam on the cross entropy, both classes of equal weight.

    Args:
        features: (n, SIZE); labels: (n,), True where the QP is infeasible within ``horizon`` steps.
        false_alarms, alarms: share of the feasible states above the threshold, and above the alarm.

    Raises:
        ValueError: only one class is there.
    """
    if labels.all() or not labels.any():
        raise ValueError(f"{int(labels.sum())} of {len(labels)} states are infeasible: allowed: some of both")
    torch.manual_seed(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a network this small waits for its threads longer than it computes
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale < 1e-6, 1.0, scale)
    x = torch.as_tensor((features - mean) / scale, dtype=torch.float32)
    y = torch.as_tensor(labels, dtype=torch.float32)
    net = nn.Sequential(
        nn.Linear(SIZE, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
    )
    loss = nn.BCEWithLogitsLoss(pos_weight=(1.0 - y.mean()) / y.mean())
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            optimiser.zero_grad()
            loss(net(x[rows]).squeeze(1), y[rows]).backward()
            optimiser.step()
        schedule.step()
    torch.set_num_threads(threads)
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    parts = [mean, scale]
    for layer in layers:
        parts += [layer.weight.detach().double().numpy().ravel(), layer.bias.detach().double().numpy()]
    model = FeasibilityModel(width, np.concatenate(parts), 0.0, horizon)
    threshold, alarm = np.quantile(model.logits(features[~labels]), (1.0 - false_alarms, 1.0 - alarms))
    return FeasibilityModel(width, model.weights, float(threshold), horizon, float(alarm))
