"""A batch's rows in contiguous shares, over threads: for compiled kernels that release the interpreter's lock.

Rows must not depend on one another, and each call must have its own scratch: results are then the same, to the bit,
whatever the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

_T = TypeVar("_T")
LEAST = 64
"""Rows that are worth a thread: handing them over takes some 20 us."""


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, "shares")


# A child process has none of its parent's threads.
os.register_at_fork(after_in_child=_pool.cache_clear)


def in_shares(call: Callable[[int, int], _T], n: int, threads: int, least: int = LEAST) -> list[_T]:
    """``call(first, end)`` for shares that together are the rows 0, ..., n - 1; the results, in order.

    Args:
        call: works on rows first, ..., end - 1, in any thread, the first share in the caller's own; it must not
            share rows out itself.
        n: rows.
        threads: most shares that are worked on at once, at least 1.
        least: fewest rows of a share, where there is more than one.

    Raises:
        ValueError: ``threads`` < 1.
        Exception: what a call raised, the first in order, after all have ended.
    """
    if threads < 1:
        raise ValueError(f"threads = {threads!r}: allowed: at least 1")
    shares = max(min(threads, n // least), 1)
    if shares == 1:
        return [call(0, n)]
    edges = [n * i // shares for i in range(shares + 1)]
    others = [_pool().submit(call, edges[i], edges[i + 1]) for i in range(1, shares)]
    try:
        own = call(0, edges[1])
    finally:
        # Nobody may write into the caller's arrays any more.
        failures = [each.exception() for each in others]
    for failure in failures:
        if failure is not None:
            raise failure
    return [own, *(each.result() for each in others)]
