"""What a train function is given."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, TypeVar

from explr_sdk import _epochs
from explr_sdk._checkpoints import Checkpoint, Checkpoints
from explr_sdk._host import Host
from explr_sdk._numbers import count, integer, number, plain, real
from explr_sdk._suggest import Suggestions, read_choice, read_float, read_int, refusal
from explr_sdk.errors import ReportError
from explr_sdk.tracker import Tracker

T = TypeVar("T")


class TrainingContext:
    """Everything that a train function needs: where and with what to train, and what it logs to."""

    #: Hyperparameters as given, nested ones included.
    hyperparameters: dict[str, Any]
    #: Logs metrics, params, tags, artifacts, data sets and models.
    tracker: Tracker
    #: The trial's id in the study's storage; None in a run that is no trial.
    trial_id: int | None
    #: The trial's number within its study, from 0; None in a run that is no trial.
    trial_number: int | None
    #: The study's name; None in a run that is no trial.
    study_name: str | None
    #: The experiment's name.
    experiment_name: str
    #: The run's id in the store.
    run_id: str
    #: Where to train: ``cpu`` or ``cuda:N``, as ``torch.device`` takes it.
    device: str
    #: Folder for checkpoints; it exists.
    checkpoint_dir: Path
    #: Folder of the artifacts; it exists. What is written here by hand must
    #: still be logged with ``tracker.log_artifact``.
    artifact_dir: Path
    #: The run's seed, less than 2**32 as NumPy wants it. The random generators
    #: are seeded with it already.
    seed: int
    #: 1 at first; higher after a retry or when an interrupted run continues.
    attempt: int
    #: Number of threads that the run may use.
    threads: int

    def __init__(self, run: dict[str, Any], host: Host) -> None:
        """Made by the worker."""
        self._host = host
        self._began = time.monotonic()
        self._budget: float | None = run.get("time_budget")
        self._prune = False
        trial = run.get("trial") or {}
        self.hyperparameters = run["hyperparameters"]
        self.trial_id = trial.get("id")
        self.trial_number = trial.get("number")
        self.study_name = trial.get("study")
        self.experiment_name = run["experiment"]
        self.run_id = run["run_id"]
        self.device = run["device"]
        self.checkpoint_dir = Path(run["checkpoint_dir"])
        self.artifact_dir = Path(run["artifact_dir"])
        self.seed = run["seed"] % 2**32
        self.attempt = run["attempt"]
        self.threads = run["threads"]
        self.tracker = Tracker(host, self.artifact_dir, self.hyperparameters)
        self._checkpoints = Checkpoints(host, self.checkpoint_dir, self.attempt)
        self._suggestions = Suggestions(
            host, self.tracker, self.hyperparameters, self.trial_id is not None
        )

    # The study.

    def report(self, step: int, value: Any) -> None:
        """Tells an intermediate value of the objective.

        The value is in the run's journal first. In a trial the study then
        decides whether the trial should end, see ``should_prune``.
        """
        step = integer(step, "the step of a report")
        value = real(value, "the value of a report")
        self._host.log_report(step, value)
        if self.trial_id is None:
            return
        answer = self._host.ask({"ask": "report", "step": step, "value": number(value)})
        if answer.get("answer") not in ("continue", "prune"):
            raise ReportError(f"the study can't say whether to go on: {refusal(answer)}")
        self._prune = answer["answer"] == "prune"

    def should_prune(self) -> bool:
        """Whether the last report showed that the trial has no hope: raise ``TrialPruned`` then."""
        return self._prune

    def suggest_float(
        self,
        name: str,
        low: float,
        high: float,
        *,
        log: bool = False,
        step: float | None = None,
        default: float | None = None,
    ) -> float:
        """A number from a range, both bounds included.

        A hyperparameter of this name that was given wins. Else, in a trial,
        the study chooses; in a single run it is the default.
        """
        low, high = (
            real(low, f"the lower bound of `{name}`"),
            real(high, f"the upper bound of `{name}`"),
        )
        if step is not None:
            step = real(step, f"the step of `{name}`")
        attributes = {"low": low, "high": high, "log": bool(log), "step": step}
        distribution = {"name": "FloatDistribution", "attributes": attributes}
        read = read_float(name, low, high, step)
        return float(self._suggestions.settle(name, distribution, default, read))

    def suggest_int(
        self,
        name: str,
        low: int,
        high: int,
        *,
        log: bool = False,
        step: int = 1,
        default: int | None = None,
    ) -> int:
        """A whole number from a range, both bounds included; else as ``suggest_float``."""
        low = integer(low, f"the lower bound of `{name}`")
        high = integer(high, f"the upper bound of `{name}`")
        step = integer(step, f"the step of `{name}`")
        attributes = {"low": low, "high": high, "log": bool(log), "step": step}
        distribution = {"name": "IntDistribution", "attributes": attributes}
        read = read_int(name, low, high, step)
        return int(self._suggestions.settle(name, distribution, default, read))

    def suggest_categorical(
        self, name: str, choices: Sequence[T], *, default: T | None = None
    ) -> T:
        """One of a few choices, each with a form in JSON; else as ``suggest_float``."""
        texts: list[Any] = [plain(choice, f"a choice of `{name}`") for choice in choices]
        distribution = {"name": "CategoricalDistribution", "attributes": {"choices": texts}}
        read = read_choice(name, choices, texts)
        wanted = plain(default, f"the default of `{name}`")
        chosen: T = self._suggestions.settle(name, distribution, wanted, read)
        return chosen

    # Time.

    @property
    def stop_requested(self) -> bool:
        """Whether the run was asked to end.

        A function that sees it should save and return; it is ended by force
        after the grace period.
        """
        return self._host.stop_requested()

    def time_left(self) -> float | None:
        """Seconds left of the time budget, if it has one, counted from this attempt's start."""
        if self._budget is None:
            return None
        return max(0.0, self._budget - (time.monotonic() - self._began))

    def epochs(self, planned: Sequence[int]) -> Iterator[int]:
        """Counts epochs, a ``range``, shows them, and ends when there is no time for another.

        Give the epochs that a checkpoint leaves to be done. The loop ends
        early when the run should stop, and before an epoch that, by the mean
        of those so far, would not end within the time budget.
        """
        return _epochs.count(planned, self._host.stop_requested, self.time_left, self.progress)

    def progress(self, epoch: int, epochs: int) -> None:
        """Tells the display that epoch ``epoch`` (from 0) of ``epochs`` has begun."""
        self._host.progress(epoch=count(epoch, "the epoch"), epochs=count(epochs, "the epochs"))

    def progress_steps(self, step: int, steps: int) -> None:
        """Tells the display that ``step`` steps of ``steps`` in the whole run are done."""
        self._host.progress(step=count(step, "the step"), steps=count(steps, "the steps"))

    # The log.

    def info(self, message: object) -> None:
        """Writes a line to the run's log, for whoever watches."""
        self._host.log_line("info", str(message))

    def warn(self, message: object) -> None:
        """Writes a warning to the run's log."""
        self._host.log_line("warning", str(message))

    def debug(self, message: object) -> None:
        """Writes a line to the run's log that is of interest to its author only."""
        self._host.log_line("debug", str(message))

    # Checkpoints.

    def save_checkpoint(
        self, path_name: str, write: Callable[[Path], object], *, epoch: int, step: int
    ) -> Path:
        """Saves a checkpoint; ``epoch`` epochs and ``step`` optimiser steps are completed.

        ``write`` is given a path and writes a file or folder there. It becomes
        ``checkpoint_dir / path_name`` when it is whole and on the disk. Names
        of their own, such as ``epoch-3.pt``, leave the one before in place.

        >>> ctx.save_checkpoint("epoch-3.pt", lambda path: torch.save(state, path), epoch=3, step=0)
        """
        return self._checkpoints.save(path_name, write, epoch, step)

    def latest_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint of the run that is still there, to go on from.

        Call it before the first metric. In a run that goes on, what is then
        logged again with the same name, step and value is not written twice.
        """
        return self._checkpoints.latest()
