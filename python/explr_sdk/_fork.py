"""What the system offers a process that forks workers, by way of C."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import warnings
from pathlib import Path

#: Stands for the run's id in a template's environment. Run ids are as long.
NO_RUN = "00000000-0000-0000-0000-000000000000"

#: Threads whose library leaves its locks open in the child: pyarrow's allocator.
_PREPARED = ("jemalloc_bg_thd",)

_PR_SET_PDEATHSIG = 1


class Mark:
    """The run's id in the environment that the kernel shows of this process.

    ``setenv`` would put the variable elsewhere and leave ``/proc/<pid>/environ``,
    by which the processes of a run are found, as it was.
    """

    def __init__(self, variable: str) -> None:
        """Finds it among what this process was started with; before any change of that."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._prctl = libc.prctl
        self._address: int | None = None
        entries = ctypes.POINTER(ctypes.c_void_p).in_dll(libc, "environ")
        wanted = f"{variable}={NO_RUN}".encode()
        for entry in itertools.takewhile(bool, (entries[i] for i in itertools.count())):
            if ctypes.string_at(entry) == wanted:
                self._address = int(entry) + len(variable) + 1

    def __bool__(self) -> bool:
        """Whether it is there."""
        return self._address is not None

    def change(self, run_id: str) -> None:
        """Puts in an id of the same length."""
        content = run_id.encode()
        if self._address is None or len(content) != len(NO_RUN):
            raise OSError(f"`{run_id}` is no run id")
        ctypes.memmove(self._address, content, len(content))

    def set_parent_death_signal(self, number: int) -> None:
        """Lets the kernel send a signal when the parent dies."""
        if self._prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl failed")


def fork() -> int:
    """Forks. Python warns of threads; ``threads_left`` has looked for them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def threads_left() -> list[str]:
    """The names of the threads that don't let this process be forked safely.

    Libraries such as OpenBLAS start threads when they are imported and end
    them in a handler of their own when the process forks, so it is tried.
    """
    if not _threads():
        return []
    child = fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return _threads()


def _threads() -> list[str]:
    names = []
    for thread in Path("/proc/self/task").iterdir():
        if int(thread.name) != os.getpid():
            with contextlib.suppress(OSError):  # It may have just ended.
                names.append((thread / "comm").read_text().strip())
    return [name for name in names if name not in _PREPARED]
