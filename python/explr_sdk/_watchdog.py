"""The worker's own means to end with its orchestrator.

Three, as it may die in any way: end of file on the control socket, a watch on
the parent's pid, and the kernel's parent-death signal. All run in Python, so a
library in C that holds the interpreter's lock delays them until it lets go.
"""

from __future__ import annotations

import os
import signal
import time
from threading import Thread, local
from typing import Any, Callable

from explr_sdk._control import Control
from explr_sdk._host import Host

#: The signal that the kernel sends when the orchestrator dies.
PARENT_DEATH_SIGNAL = signal.SIGHUP

Handler = Callable[..., None]

_PARENT_CHECK = 0.25


def start(control: Control, host: Host) -> None:
    """Starts watching, for the rest of the process's life."""

    def on_terminate(*_: Any) -> None:
        host.request_stop()

    def on_parent_death(*_: Any) -> None:
        _kill_group()

    handlers: dict[signal.Signals, Handler] = {
        signal.SIGTERM: on_terminate,
        PARENT_DEATH_SIGNAL: on_parent_death,
    }
    for number, handler in handlers.items():
        signal.signal(number, handler)
        # Libraries in C don't expect an interrupted call.
        signal.siginterrupt(number, False)
    # Ctrl-C in the terminal is the orchestrator's to hear, and a journal that
    # may not grow is an error of its write, not the worker's end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    _leave_to_children(handlers)
    Thread(target=_listen, args=(control, host), name="explr-control", daemon=True).start()
    Thread(target=_watch, args=(os.getppid(),), name="explr-parent", daemon=True).start()


def _leave_to_children(handlers: dict[signal.Signals, Handler]) -> None:
    """Gives the processes that the train function forks the default actions of signals.

    `Process.terminate` must end them, in their first moment too: a signal that
    came before their handlers were theirs would be lost, so it has to wait.
    """
    before = local()

    def hold() -> None:
        before.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        signal.pthread_sigmask(signal.SIG_BLOCK, handlers)

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before.mask)

    def begin_child() -> None:
        for number, handler in handlers.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, signal.SIG_DFL)
        release()

    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=begin_child)


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
