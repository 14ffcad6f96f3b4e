"""Counts the epochs of a run, and ends when there is no time for another."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Callable


def count(
    planned: Sequence[int],
    stop_requested: Callable[[], bool],
    time_left: Callable[[], float | None],
    progress: Callable[[int, int], None],
) -> Iterator[int]:
    """The epochs that are still to be done, shown as they begin.

    Ends early when the run should stop, and before an epoch that, by the mean
    of those so far, would not end within the time budget.
    """
    began = time.monotonic()
    for done, epoch in enumerate(planned):
        if stop_requested():
            return
        possible = affordable(time.monotonic() - began, done, time_left())
        if possible == 0:
            return
        end = planned[-1] + 1
        progress(epoch, end if possible is None else min(epoch + possible, end))
        yield epoch


def affordable(spent: float, done: int, left: float | None) -> int | None:
    """How many further epochs fit into the time that is left, when ``done`` took ``spent``.

    None for any number. Nothing is known before the first: it gets its chance.
    """
    if left is None:
        return None
    if left <= 0:
        return 0
    if done == 0:
        return None
    return int(left / max(spent / done, 1e-9))
