"""The run's checkpoints: written whole or not at all, and found again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from explr_sdk import _artifacts, _tail
from explr_sdk._host import Host
from explr_sdk._numbers import count
from explr_sdk.errors import LogError

#: What a checkpoint replaces, until the journal has its record: longer than ``length`` then.
_ASIDE = re.compile(r"\.(?P<name>.+)\.before-(?P<length>\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that training goes on from."""

    #: Its file or folder.
    path: Path
    #: Epochs completed when it was taken: the next epoch, counted from 0.
    epoch: int
    #: Optimiser steps completed when it was taken.
    step: int


class Checkpoints:
    """Saves and finds the checkpoints of a run."""

    def __init__(self, host: Host, folder: Path, attempt: int) -> None:
        """The checkpoints in ``folder``."""
        self._host = host
        self._folder = folder
        # Of the attempts before nothing is lived again in the first.
        self._resuming = attempt > 1

    def save(self, name: str | Path, write: _artifacts.Write, epoch: int, step: int) -> Path:
        """Makes ``name`` with a function that writes a file or folder to the path it is given."""
        name = Path(name)
        if name.is_absolute() or not name.parts or ".." in name.parts:
            raise LogError(f"`{name}` can't be the name of a checkpoint: give a name without `..`")
        counts = {"epoch": count(epoch, "the epoch"), "step": count(step, "the step")}
        target = self._folder / name
        aside = target.with_name(f".{target.name}.before-{len(self._host.writer)}")
        try:
            _artifacts.place(self._folder, str(name), write, aside)
        except OSError as error:
            raise LogError(f"can't write the checkpoint `{target}`: {error}") from error
        self._host.log_event({"type": "checkpoint", "path": str(name), **counts})
        _artifacts.remove(aside)
        return target

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that the journal holds and that exists."""
        records = list(_tail.read(self._host.path, ("checkpoint",)))
        self._settle({record["path"]: record["seq"] for record in records})
        there = (each for each in reversed(records) if (self._folder / each["path"]).exists())
        newest = next(there, None)
        if newest is None:
            self._host.tell_start()
            return None
        if self._resuming and newest["seq"] < self._host.length_before:
            self._resuming = False
            self._host.tell_resumed(newest["seq"], newest["path"])
        return Checkpoint(self._folder / newest["path"], newest["epoch"], newest["step"])

    def _settle(self, recorded: dict[str, int]) -> None:
        """Takes back checkpoints that were replaced by one that a kill left without its record."""
        found = [(_ASIDE.fullmatch(path.name), path) for path in self._folder.rglob(".*.before-*")]
        asides = [(int(match["length"]), match["name"], path) for match, path in found if match]
        for length, name, aside in sorted(asides, reverse=True):
            target = aside.with_name(name)
            if recorded.get(str(target.relative_to(self._folder)), -1) >= length:
                _artifacts.remove(aside)
            else:
                _artifacts.remove(target)
                aside.rename(target)
