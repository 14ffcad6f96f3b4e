"""The run's journal: JSON lines, appended, never rewritten.

One process at a time writes; a lock on the file, which the kernel releases
when the process dies, sees to it. A line is one ``write(2)`` with
``O_APPEND``, so a kill tears at most the last line, and the next writer moves
that aside. When a call returns, its lines survive the death of every process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from pathlib import Path
from threading import RLock
from types import FrameType
from typing import Any

from explr_sdk import _tail
from explr_sdk._numbers import to_json
from explr_sdk.errors import JournalError, LogError

#: Longest line, newline excluded.
MAX_LINE = 16 << 20
#: Deepest nesting of a record that explr reads back.
MAX_DEPTH = 120
#: How long to wait for a writer that is about to die, in seconds.
PATIENCE = 2.0

#: What must survive a power cut as well.
_DURABLE = frozenset({"state", "result", "checkpoint"})


class Writer:
    """Appends to a journal, alone. Usable from any thread."""

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        """Opens a journal, and makes it if there is none."""
        self.path = path
        self._lock = RLock()
        # A signal handler may interrupt a call at any place, and log or raise.
        self._busy = False
        # The file may hold more than this object knows of.
        self._unsure = False
        self._closed: str | None = None
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags, 0o600)
        except OSError as error:
            raise JournalError(f"can't open the journal `{path}`: {error.strerror}") from error
        try:
            _lock(self._fd, path, patience)
            self._records = _tail.mend(self._fd, path)
        except BaseException:
            os.close(self._fd)
            raise

    def __len__(self) -> int:
        """Number of records, which is the number of the next one."""
        return self._records

    def append(self, event: dict[str, Any]) -> int:
        """Appends one event, a dict that begins with ``type``, and returns its number."""
        with self._lock:
            seq = self._begin()
            try:
                record = {"seq": seq, "ts": time.time_ns() // 1_000_000, **event}
                self._write(self._encode(record))
                if event["type"] in _DURABLE:
                    self._sync()
            finally:
                self._busy = False
        return seq

    def append_metric(self, key: str, value: float, step: int) -> None:
        """Appends a metric. ``key`` is the name as JSON."""
        with self._lock:
            seq = self._begin()
            try:
                ts = time.time_ns() // 1_000_000
                number = value if value - value == 0.0 else to_json(value)
                self._write(
                    f'{{"seq":{seq},"ts":{ts},"type":"metric","key":{key},'
                    f'"value":{number},"step":{step}}}\n'.encode()
                )
            finally:
                self._busy = False

    def append_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Appends metrics of one step in one write. The keys are names as JSON."""
        with self._lock:
            seq = self._begin()
            try:
                ts = time.time_ns() // 1_000_000
                lines = "".join(
                    f'{{"seq":{seq + i},"ts":{ts},"type":"metric","key":{key},'
                    f'"value":{to_json(value)},"step":{step}}}\n'
                    for i, (key, value) in enumerate(metrics.items())
                )
                if lines:
                    self._write(lines.encode(), len(metrics))
            finally:
                self._busy = False

    def close(self, why: str) -> None:
        """Gives the journal to whoever comes next; later calls fail, saying ``why``."""
        with self._lock:
            if self._closed is None:
                self._closed = why
                fd, self._fd = self._fd, -1
                os.close(fd)

    def forget(self, why: str) -> None:
        """The same in a forked child, where another thread may hold the lock for ever."""
        self._lock = RLock()
        self._busy = False
        self.close(why)

    def _begin(self) -> int:
        if self._busy and self._interrupts(sys._getframe(1)):
            raise LogError("a signal handler can't log while it interrupts a log call")
        self._busy = True
        if self._unsure or self._closed is not None:
            self._recover()
        return self._records

    def _interrupts(self, call: FrameType) -> bool:
        """Whether this call runs within another one, and not after one that did not end.

        An exception of a signal handler may leave a call before it says that it ends.
        """
        outer = call.f_back
        while outer is not None:
            if outer.f_code in _CALLS and outer.f_locals.get("self") is self:
                return True
            outer = outer.f_back
        return False

    def _write(self, data: bytes, count: int = 1) -> None:
        if len(data) > MAX_LINE and max(map(len, data.splitlines())) > MAX_LINE:
            raise self._bad(f"it is longer than {MAX_LINE >> 20} MiB")
        self._unsure = True
        try:
            written = os.write(self._fd, data)
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            self._give_up()
            raise self._failed(error) from error
        self._records += count
        self._unsure = False

    def _give_up(self) -> None:
        """Keeps the whole lines, which a reader may have seen, and cuts off the rest."""
        with contextlib.suppress(LogError):  # The next call tries again first.
            self._recover()

    def _recover(self) -> None:
        if self._closed is not None:
            raise LogError(self._closed)
        self._records = _tail.mend(self._fd, self.path, keep_torn=False)
        self._unsure = False

    def _encode(self, record: dict[str, Any]) -> bytes:
        try:
            text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            line = text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise self._bad(str(error)) from error
        if _deeper_than(record, MAX_DEPTH):
            raise self._bad(f"it is nested more than {MAX_DEPTH} deep")
        return line + b"\n"

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> JournalError:
        return JournalError(f"can't write the journal `{self.path}`: {error.strerror}")

    def _bad(self, why: str) -> LogError:
        return LogError(f"can't write this to the journal `{self.path}`: {why}")


_CALLS = tuple(
    call.__code__ for call in (Writer.append, Writer.append_metric, Writer.append_metrics)
)


def _deeper_than(value: Any, limit: int) -> bool:
    if isinstance(value, dict):
        return limit == 0 or any(_deeper_than(part, limit - 1) for part in value.values())
    if isinstance(value, (list, tuple)):
        return limit == 0 or any(_deeper_than(part, limit - 1) for part in value)
    return False


def _lock(fd: int, path: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise JournalError(f"another process is writing the journal `{path}`") from error
            time.sleep(0.01)
        except OSError as error:
            raise JournalError(f"can't lock the journal `{path}`: {error.strerror}") from error
