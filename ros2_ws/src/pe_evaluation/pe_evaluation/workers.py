"""Processes that share out episodes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch


def worker_pool(
    count: int, prepare: Callable[..., None], given: tuple[Any, ...], *, own_cores: bool = False
) -> ProcessPoolExecutor:
    """``count`` fresh processes of one torch thread each, in which ``prepare(*given)`` has run.

    ``own_cores`` keeps each, and the servers that it starts, on one core, in turn: a simulator whose threads take turns
    with its client's loses half of its speed to moves between cores.
    """
    context = multiprocessing.get_context("spawn")
    cores = sorted(os.sched_getaffinity(0)) if own_cores else []
    return ProcessPoolExecutor(
        count, context, initializer=_begin, initargs=(context.Value("i", 0), cores, prepare, given)
    )


def _begin(turn: Any, cores: list[int], prepare: Callable[..., None], given: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    if cores:
        with turn.get_lock():
            number, turn.value = turn.value, turn.value + 1
        os.sched_setaffinity(0, {cores[number % len(cores)]})
    prepare(*given)
