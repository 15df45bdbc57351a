"""Plays the jobs of a plan that are missing, over processes, and keeps each as it ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import as_completed
from functools import lru_cache
from pathlib import Path

import torch

from pe_core.plant import Simulator
from pe_evaluation.comparison import maps
from pe_evaluation.comparison.episode import metrics
from pe_evaluation.comparison.plan import IDEAL, Cell, Job, Plan
from pe_evaluation.comparison.playing import Stage, play, prepare_stage
from pe_evaluation.comparison.store import TRACKS, Row, Store, missing, write_part
from pe_evaluation.comparison.track import save_track
from pe_evaluation.workers import worker_pool

_plan: Plan | None = None
_folder: Path | None = None
_simulator: Simulator | None = None


def run(store: Store, workers: int | None = None, progress: Callable[[Job], None] | None = None) -> int:
    """Play what is missing; returns the number of episodes played.

    ``progress`` is called with each job that has been kept.
    """
    jobs = missing(store.plan, store.played)
    count = workers or len(os.sched_getaffinity(0))
    if count == 1 or len(jobs) <= 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        _initialise(store.plan, store.folder, None, store.simulator)
        try:
            for job in jobs:
                store.append(job, play_job(job))
                if progress is not None:
                    progress(job)
        finally:
            torch.set_num_threads(threads)
        return sum(job.count for job in jobs)
    given = (store.plan, store.folder, os.getpid(), store.simulator)
    with worker_pool(count, _initialise, given, own_cores=store.simulator is not None) as pool:
        futures = {pool.submit(play_job, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                store.append(futures[future], future.result())
                if progress is not None:
                    progress(futures[future])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sum(job.count for job in jobs)


def _initialise(plan: Plan, folder: Path, parent: int | None, simulator: Simulator | None) -> None:
    global _plan, _folder, _simulator
    _plan, _folder, _simulator = plan, folder, simulator
    _stage.cache_clear()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """End with the process that gives the work: one that is killed cannot say so."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def play_job(job: Job) -> list[Row]:
    """Play one job and write its maps and tracks; returns its rows."""
    assert _plan is not None and _folder is not None
    stage = _stage(job.approach, job.cell, job.seed, job.scenario)
    found, rows = maps.empty(), []
    for played in play(stage, job):
        rows.append(metrics(played, job, stage.rewards))
        maps.add_episode(found, played)
        if keeps_track(_plan, job, played.track.episode):
            save_track(_folder / TRACKS / f"{track_name(job, played.track.episode)}.npz", played.track)
    write_part(_folder, job, found)
    return rows


@lru_cache(maxsize=4)
def _stage(approach: str, cell: Cell, seed: int, scenario: str) -> Stage:
    assert _plan is not None
    return prepare_stage(_plan, Job(approach, cell, seed, 0, 1, scenario), _simulator)


def keeps_track(plan: Plan, job: Job, episode: int) -> bool:
    """Whether an episode is kept as a track."""
    if job.scenario != "random":
        return True
    return job.cell.world == IDEAL and job.seed == plan.seeds[0] and episode < plan.tracks.first_episodes


def track_name(job: Job, episode: int) -> str:
    """The file of a track, without its ending."""
    scenario = "" if job.scenario == "random" else f"_{job.scenario}"
    cell = job.cell
    return f"{job.approach}_{cell.evader}_{cell.speed_ratio:g}{scenario}_s{job.seed}_e{episode}"
