"""What the journal keeps of an exception."""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from explr_sdk.errors import TrialPruned

Failure = dict[str, str]

#: The longest message that is kept; some libraries print whole programs.
_LONGEST = 20_000

_OUT_OF_MEMORY_TYPES = ("OutOfMemoryError", "ResourceExhaustedError")
_OUT_OF_MEMORY = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "cudaErrorMemoryAllocation",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "RESOURCE_EXHAUSTED: Out of memory",
)
#: How libtorch begins the C++ stack that it appends to its messages.
_CPP_TRACES = ("\nException raised from ", "\nC++ CapturedTraceback:", "\nframe #0: ")

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class LoadError(Exception):
    """The train function could not be found; ``failure`` is the outcome."""

    def __init__(self, message: str, location: str | None = None) -> None:
        """With the place in the user's code, where it is known."""
        super().__init__(message)
        self.failure = failure("plugin", message, location)


def failure(kind: str, message: str, location: str | None = None) -> Failure:
    """A failure of the class ``kind``."""
    if len(message) > _LONGEST:
        message = f"{message[:_LONGEST]}\n... ({len(message) - _LONGEST} characters more)"
    message = message.encode(errors="replace").decode()
    found = {"class": kind, "message": message}
    if location is not None:
        found["location"] = location
    return found


def of_exception(error: BaseException, function: object) -> Failure:
    """The failure that an exception of the train function is."""
    if isinstance(error, SystemExit):
        message = f"the train function called sys.exit({error.code!r}) instead of returning"
        return failure("exit", message, location(error))
    kind = "cuda_oom" if any(map(_out_of_memory, _chain(error))) else "error"
    return failure(kind, message_of(error), location(error) or definition(function))


def message_of(error: BaseException) -> str:
    """The exception in a line, with a line for each cause."""
    lines = [_describe(error)]
    for cause, relation in _causes(error):
        lines.append(f"{relation}: {_describe(cause)}")
    return "\n".join(lines)


def location(error: BaseException) -> str | None:
    """``file:line`` of the deepest frame in the user's own code."""
    if isinstance(error, SyntaxError) and error.filename and _is_users(error.filename):
        return f"{_short(error.filename)}:{error.lineno}"
    place = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _is_users(frame.f_code.co_filename):
            place = f"{_short(frame.f_code.co_filename)}:{line}"
    return place


def report(error: BaseException) -> str:
    """The traceback, without the frames that called the train function."""
    trace: TracebackType | None = error.__traceback__
    while trace and trace.tb_next and not _is_users(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def is_pruned(error: BaseException) -> bool:
    """Whether the exception, or what it was raised from, ends a trial that has no hope."""
    return any(isinstance(part, TrialPruned) or _is_optunas(part) for part in _chain(error))


def _is_optunas(error: BaseException) -> bool:
    return any(
        kind.__name__ == "TrialPruned" and kind.__module__.split(".")[0] == "optuna"
        for kind in type(error).__mro__
    )


def _out_of_memory(error: BaseException) -> bool:
    if any(kind.__name__ in _OUT_OF_MEMORY_TYPES for kind in type(error).__mro__):
        return True
    return any(text in str(error) for text in _OUT_OF_MEMORY)


def _chain(error: BaseException) -> Iterator[BaseException]:
    yield error
    for cause, _ in _causes(error):
        yield cause


def _causes(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    seen = {id(error)}
    next_one: BaseException | None = error
    while next_one is not None:
        if next_one.__cause__ is not None:
            next_one, relation = next_one.__cause__, "caused by"
        elif next_one.__context__ is not None and not next_one.__suppress_context__:
            next_one, relation = next_one.__context__, "while handling"
        else:
            return
        if id(next_one) in seen:
            return
        seen.add(id(next_one))
        yield next_one, relation


def _describe(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__.split(".")[0] not in ("builtins", "__main__", "explr_sdk"):
        name = f"{kind.__module__}.{name}"
    try:
        text = str(error)
    except Exception as broken:  # a `__str__` of the user's
        text = f"(no message: {broken!r})"
    end = min((at for at in map(text.find, _CPP_TRACES) if at >= 0), default=len(text))
    text = "\n".join([text[:end].rstrip(), *getattr(error, "__notes__", [])])
    return f"{name}: {text}" if text else name


def _is_users(file: str) -> bool:
    if file.startswith("<") or file.startswith(_PACKAGE):
        return False
    path = os.path.abspath(file)
    if "site-packages" in path or "dist-packages" in path:
        return False
    return not path.startswith(_library())


def _library() -> tuple[str, ...]:
    paths = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    return tuple(path + os.sep for path in paths if path)


def _short(file: str) -> str:
    """Relative to the working folder, where the file is below it."""
    path = Path(os.path.abspath(file))
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def definition(function: object) -> str | None:
    """``file:line`` where a function begins."""
    code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
    return None if code is None else f"{_short(code.co_filename)}:{code.co_firstlineno}"


def show(error: BaseException) -> str:
    """Writes the traceback to the worker's log, and returns it."""
    text = report(error) if location(error) else f"{message_of(error)}\n"
    print(text, file=sys.stderr, end="", flush=True)
    return text.rstrip()
