"""The worker's own means to end with its orchestrator.

Three, as it may die in any way: end of file on the control socket, a watch on
the parent's pid, and the kernel's parent-death signal. All run in Python, so a
library in C that holds the interpreter's lock delays them until it lets go.
"""

from __future__ import annotations

import os
import signal
import time
from threading import Thread
from typing import Any

from explr_sdk._control import Control
from explr_sdk._host import Host

#: The signal that the kernel sends when the orchestrator dies.
PARENT_DEATH_SIGNAL = signal.SIGHUP

_PARENT_CHECK = 0.25


def start(control: Control, host: Host) -> None:
    """Starts watching, for the rest of the process's life."""

    def on_terminate(*_: Any) -> None:
        host.request_stop()

    def on_parent_death(*_: Any) -> None:
        _kill_group()

    handlers = {signal.SIGTERM: on_terminate, PARENT_DEATH_SIGNAL: on_parent_death}
    for number, handler in handlers.items():
        signal.signal(number, handler)
        # Libraries in C don't expect an interrupted call.
        signal.siginterrupt(number, False)
    # Ctrl-C in the terminal is the orchestrator's to hear, and a journal that
    # may not grow is an error of its write, not the worker's end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def leave_to_default() -> None:
        # `Process.terminate` must end a process that the train function forked.
        for number, handler in handlers.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, signal.SIG_DFL)

    os.register_at_fork(after_in_child=leave_to_default)
    Thread(target=_listen, args=(control, host), name="explr-control", daemon=True).start()
    Thread(target=_watch, args=(os.getppid(),), name="explr-parent", daemon=True).start()


def _listen(control: Control, host: Host) -> None:
    """Passes answers and requests to stop on until the orchestrator is gone."""
    while True:
        message = control.receive()
        if message is None:
            _kill_group()
        elif message.get("type") == "stop":
            host.request_stop()
        elif message.get("type") == "answer":
            host.answer(message)
        elif message.get("type") == "sample":
            host.take_sample(message)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK)
    _kill_group()


def _kill_group() -> None:
    """Ends this process and every process that the train function left in the group."""
    os.kill(0, signal.SIGKILL)
