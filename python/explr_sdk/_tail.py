"""The ends of a journal: its last line, read backwards, and all of it, read again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from explr_sdk.errors import JournalError

_BLOCK = 8 << 10
_KIND = b'"type":"'


def mend(fd: int, path: Path, keep_torn: bool = True) -> int:
    """Cuts off a torn last line and returns the number of records.

    The torn bytes go to a file beside the journal if ``keep_torn``.
    """
    try:
        length = os.fstat(fd).st_size
        newline = _newline_before(fd, length)
        end = 0 if newline is None else newline + 1
        if end < length:
            if keep_torn:
                _save_torn(fd, path, end, length)
            os.ftruncate(fd, end)
        if newline is None:
            return 0
        before = _newline_before(fd, newline)
        start = 0 if before is None else before + 1
        line = _read(fd, start, newline)
    except OSError as error:
        raise JournalError(f"can't read the journal `{path}`: {error.strerror}") from error
    record = parse(line)
    if record is None:
        number = _read(fd, 0, start).count(b"\n") + 1
        raise JournalError(
            f"line {number} of the journal `{path}` is damaged; `explr repair` can mend it"
        )
    return int(record["seq"]) + 1


def parse(line: bytes) -> dict[str, Any] | None:
    """A record, or nothing for a damaged line."""
    try:
        record = json.loads(line)
        if isinstance(record["seq"], int) and isinstance(record["type"], str):
            return dict(record)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def read(path: Path, kinds: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The records of some kinds, in order."""
    wanted = frozenset(kind.encode() for kind in kinds)
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            begin = line.find(_KIND) + len(_KIND)
            if line[begin : line.find(b'"', begin)] not in wanted:
                continue
            record = parse(line)
            if record is None:
                raise JournalError(
                    f"line {number} of the journal `{path}` is damaged; `explr repair` can mend it"
                )
            yield record


def _newline_before(fd: int, end: int) -> int | None:
    """Position of the last newline in the first ``end`` bytes."""
    while end > 0:
        start = max(0, end - _BLOCK)
        found = _read(fd, start, end).rfind(b"\n")
        if found >= 0:
            return start + found
        end = start
    return None


def _read(fd: int, start: int, end: int) -> bytes:
    parts = []
    while start < end:
        part = os.pread(fd, end - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _save_torn(fd: int, path: Path, start: int, end: int) -> None:
    """On a full disk it can't, and the run's end is worth more than these bytes."""
    target = path.with_name(f"{path.name}.torn-{time.time_ns() // 1_000_000}")
    try:
        with open(target, "xb", opener=_private) as file:
            file.write(_read(fd, start, end))
    except OSError:
        target.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
