"""What the public classes talk to: the journal, the study, and the display."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, RLock
from typing import Any, Callable, NoReturn

from explr_sdk import _replay
from explr_sdk._journal import Writer
from explr_sdk._names import check_key
from explr_sdk._numbers import integer, number, read
from explr_sdk._replay import REPORT, Replay
from explr_sdk.errors import JournalError, LogError

Event = dict[str, Any]

#: Log lines that wait to be shown; the journal has them all.
_LOG_BACKLOG = 1000

_FORKED = (
    "this process was forked by the train function; only the train function's own process can log"
)
_RETURNED = "the train function has returned; its tracker can log no more"


class Host:
    """Receives what a train function logs and keeps what it is to be told."""

    def __init__(self, journal: Path, attempt: int, send: Callable[[Event], None]) -> None:
        """Opens the run's journal; ``send`` takes messages for the orchestrator."""
        self.path = journal
        self.send = send
        self.writer = Writer(journal)
        #: Length of the journal when this attempt began.
        self.length_before = len(self.writer)
        self._stop = False
        self._stop_seen = False
        # From where a later attempt lives again must be said before its first metric.
        self._resume_due = attempt > 1
        self._replay = Replay()
        self._old_params: dict[str, Any] | None = None if attempt > 1 else {}
        self._keys: dict[str, str] = {}
        self._next_steps: dict[str, int] = {}
        self._asking = Lock()
        self._answers: SimpleQueue[Event] = SimpleQueue()
        self._news = RLock()
        self._told: Event = {}
        self._told_changed = False
        self._latest: dict[str, float] = {}
        self._logged = 0
        self._logged_before = 0
        self._highest_step = 0
        self._logs: list[Event] = []
        #: Step and value of the last report of this attempt.
        self.last_report: tuple[int, float] | None = None
        self._failure: str | None = None
        self._failure_told = False
        self._gone: str | None = None
        os.register_at_fork(after_in_child=self._forget)

    def __reduce__(self) -> NoReturn:
        """Refuses to be sent to another process."""
        raise TypeError(
            "a TrainingContext and its tracker can't be sent to another process; send what it "
            "needs, such as `ctx.hyperparameters`, and log in the train function's own process"
        )

    # What the train function does.

    def log_metric(self, name: str, value: float, step: int | None) -> None:
        """Appends a metric; without a step, at the one after its last."""
        key = self._keys.get(name) or self._admit(name)
        if self._resume_due:
            self.tell_start()
        if step is None:
            step = self._next_steps.get(key, 0)
        self._next_steps[key] = step + 1
        if not (self._replay and self._replay.lives_again(key, step, value)):
            try:
                self.writer.append_metric(key, value, step)
            except JournalError as error:
                self._failure = str(error)
                raise
        self._latest[name] = value
        self._logged += 1
        self._highest_step = max(self._highest_step, step)

    def log_metrics(self, metrics: dict[str, float], step: int | None) -> None:
        """Appends metrics of one step, all or none."""
        keys = {self._keys.get(name) or self._admit(name): name for name in metrics}
        if not keys:
            return
        if self._resume_due:
            self.tell_start()
        if step is None:
            step = max(self._next_steps.get(key, 0) for key in keys)
        fresh = {}
        for key, name in keys.items():
            self._next_steps[key] = step + 1
            if not self._replay.lives_again(key, step, metrics[name]):
                fresh[key] = metrics[name]
        self._remember(lambda: self.writer.append_metrics(fresh, step))
        self._latest.update(metrics)
        self._logged += len(metrics)
        self._highest_step = max(step, self._highest_step)

    def log_event(self, event: Event) -> None:
        """Appends an event."""
        self._remember(lambda: self.writer.append(event))

    def log_param(self, key: str, value: Any) -> None:
        """Appends a param, unless an attempt before has."""
        if self._old_params is None:
            self._old_params = _replay.params(self.path)
        if key in self._old_params and same(self._old_params[key], value):
            return
        self.log_event({"type": "param", "key": key, "value": value})

    def log_report(self, step: int, value: float) -> None:
        """Appends an intermediate value, unless it is lived again."""
        if self._resume_due:
            self.tell_start()
        if not self._replay.lives_again(REPORT, step, value):
            self.log_event({"type": "report", "step": step, "value": number(value)})
        self.last_report = (step, value)

    def log_line(self, level: str, message: str, *, printed: bool = False) -> None:
        """Appends a line of the function's log; one that can't be written is lost.

        It is shown, too, unless it was printed already.
        """
        # A text of the system may hold bytes that are no Unicode.
        message = message.encode(errors="replace").decode()
        with self._news:
            if not printed and len(self._logs) < _LOG_BACKLOG:
                self._logs.append({"type": "log", "level": level, "message": message})
        with contextlib.suppress(LogError):
            self.log_event({"type": "log", "level": level, "message": message})

    def tell_start(self) -> None:
        """Says that a later attempt lives everything again, unless something was said before."""
        if self._resume_due:
            self.tell_resumed(0, None)

    def tell_resumed(self, seq: int, checkpoint: str | None) -> None:
        """Says from which record on a later attempt lives again."""
        self._resume_due = False
        self._replay = Replay.load(self.path, seq)
        self._next_steps = {key: step + 1 for key, step in self._replay.last_steps.items()}
        event: Event = {"type": "resumed", "seq_of_checkpoint": seq}
        if checkpoint is not None:
            event["checkpoint"] = checkpoint
        self.log_event(event)

    def ask(self, question: Event) -> Event:
        """Asks the study, and waits for its answer."""
        with self._asking:
            if self._gone is not None:
                raise LogError(self._gone)
            self.send({"type": "ask", **question})
            # Ends with an answer, or with the process when the orchestrator is gone.
            return self._answers.get()

    def progress(self, **told: int) -> None:
        """Tells the display how far the function is."""
        with self._news:
            self._told.update(told)
            self._told_changed = True

    def stop_requested(self) -> bool:
        """Whether the function was asked to stop; remembers that it has seen it."""
        self._stop_seen |= self._stop
        return self._stop

    # What the worker does.

    def request_stop(self) -> None:
        """Asks the function to stop at the next good moment."""
        self._stop = True

    @property
    def stop_seen(self) -> bool:
        """Whether the function has seen the request to stop."""
        return self._stop_seen

    def answer(self, answer: Event) -> None:
        """Takes the answer to the open question."""
        self._answers.put(answer)

    def take_sample(self, sample: Event) -> None:
        """Appends system metrics, which are no sign of progress; what is wrong is left out."""
        try:
            metrics = {
                json.dumps(name, ensure_ascii=False): read(value)
                for name, value in sample["metrics"].items()
            }
            step = integer(sample["step"], "the step of a sample")
            self._remember(lambda: self.writer.append_metrics(metrics, step))
        except (LogError, AttributeError, KeyError, TypeError, ValueError):
            pass

    def take_news(self) -> list[Event]:
        """What has changed since the last call, for the orchestrator."""
        with self._news:
            messages, self._logs = self._logs, []
            logged = self._logged
            if self._told_changed or logged != self._logged_before:
                latest, self._latest = self._latest, {}
                metrics = {name: number(value) for name, value in latest.copy().items()}
                progress = {"type": "progress", "step": max(self._highest_step, 0), **self._told}
                messages.append({**progress, "metrics": metrics, "metrics_logged": logged})
                self._logged_before = logged
                self._told_changed = False
            if self._failure is not None and not self._failure_told:
                messages.append({"type": "journal_failed", "message": self._failure})
                self._failure_told = True
        return messages

    def close(self) -> None:
        """Gives the journal to the orchestrator: the function has returned."""
        self._gone = _RETURNED
        self.writer.close(_RETURNED)

    def _forget(self) -> None:
        self._gone = _FORKED
        self._asking = Lock()
        self._news = RLock()
        self.writer.forget(_FORKED)

    def _admit(self, name: str) -> str:
        check_key("metric", name)
        key = json.dumps(name, ensure_ascii=False)
        self._keys[name] = key
        return key

    def _remember(self, write: Callable[[], Any]) -> None:
        try:
            write()
        except JournalError as error:
            self._failure = str(error)
            raise


def same(a: Any, b: Any) -> bool:
    """Whether two plain values are one and the same in JSON: 1, 1.0 and true differ."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
