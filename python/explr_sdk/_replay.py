"""Keeps a run that goes on from logging twice what it lives again.

A function that continues from a checkpoint repeats the steps after it. What
equals a metric or report of the journal in name, step and every bit of the
value is the same fact and isn't written again; whatever differs is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections import Counter as CounterOf
from pathlib import Path
from typing import Any

from explr_sdk import _tail
from explr_sdk._numbers import plain, read

#: Bound on memory. A run that logs more between two checkpoints logs the rest again.
MOST = 1_000_000

#: Stands for the reports among the metrics; no metric has this name.
REPORT = ""


class Replay:
    """Metrics and reports of the journal that the function has not repeated yet."""

    def __init__(self) -> None:
        """Nothing is lived again."""
        self._left: CounterOf[tuple[str, int, str]] = Counter()
        #: The last step of each metric before the checkpoint, by its name as JSON.
        self.last_steps: dict[str, int] = {}

    @classmethod
    def load(cls, journal: Path, seq: int) -> Replay:
        """Reads what the journal holds from record ``seq`` on."""
        replay = cls()
        for record in _tail.read(journal, ("metric", "report")):
            key = json.dumps(record["key"], ensure_ascii=False) if "key" in record else REPORT
            if record["seq"] < seq:
                replay.last_steps[key] = record["step"]
            elif len(replay._left) < MOST:
                replay._left[key, record["step"], repr(read(record["value"]))] += 1
        return replay

    def __bool__(self) -> bool:
        """Whether anything is left to be lived again."""
        return bool(self._left)

    def lives_again(self, key: str, step: int, value: float) -> bool:
        """Whether this one is in the journal already. Each one counts once."""
        fact = (key, step, repr(value))
        count = self._left.get(fact)
        if count is None:
            return False
        if count == 1:
            del self._left[fact]
        else:
            self._left[fact] = count - 1
        return True


def params(journal: Path) -> dict[str, Any]:
    """The params that a journal holds, each with its first value."""
    found: dict[str, Any] = {}
    for record in _tail.read(journal, ("param",)):
        found.setdefault(record["key"], plain(record["value"], "a param"))
    return found
