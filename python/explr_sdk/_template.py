"""The template: imports the user's module once, and forks a worker for each run.

``python -m explr_sdk._template`` starts no thread and calls nothing of the
module, so a forked worker is as one that was started afresh. A process with
threads, or with CUDA initialised, does not survive a fork: then it says so,
and the orchestrator starts each worker by itself.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import weakref
from typing import Any, Callable

from explr_sdk import _failure, _fork, _load, _worker
from explr_sdk._control import RUN_VARIABLE, Control, inherited
from explr_sdk._load import Function
from explr_sdk._watchdog import PARENT_DEATH_SIGNAL

FD_VARIABLE = "EXPLR_TEMPLATE_FD"

#: Room for one packet: more than the kernel lets through by default.
_PACKET = 256 << 10

Message = dict[str, Any]


def main() -> int:
    """Serves until the orchestrator is gone; returns the code to exit with."""
    _worker.ready_output()
    try:
        _serve()
    except (OSError, ValueError, KeyError) as error:
        print(f"explr worker: the template ends: {error!r}", file=sys.stderr)
        return 1
    return 0


def _serve() -> None:
    # A SIGTERM to every process of a service would end the workers without
    # their grace period. A worker sets its own handlers.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    mark = _fork.Mark(RUN_VARIABLE)
    server = Socket(inherited(FD_VARIABLE))
    message, _ = server.receive()
    if message is None:
        return
    # pyarrow, and so pandas and MLflow, would start a thread as soon as it is imported.
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    try:
        function = _load.load(message["code"])
    except _failure.LoadError as error:
        why: str | None = str(error)
    else:
        _import_more()
        why = _why_not(mark)
    sys.stdout.flush()
    sys.stderr.flush()
    if why is not None:
        server.send({"type": "not_forkable", "why": why})
        return
    # What was imported stays as it is, shared by all workers.
    gc.collect()
    gc.freeze()
    Template(server, function, mark).serve()


def _import_more() -> None:
    """PyTorch imports this with the first optimiser: a second that each worker would pay."""
    if "torch" in sys.modules:
        with contextlib.suppress(Exception):
            importlib.import_module("torch._dynamo")


def _why_not(mark: _fork.Mark) -> str | None:
    if not mark:
        return f"the template has no {RUN_VARIABLE} to change"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "the module initialises CUDA when it is imported, and CUDA does not survive a fork"
    threads = _fork.threads_left()
    if threads:
        return (
            f"the module has threads as soon as it is imported ({', '.join(threads)}), and a "
            "process with threads can't be forked safely"
        )
    return None


class Socket:
    """The template's end of its socket: a JSON object a packet."""

    def __init__(self, stream: socket.socket) -> None:
        """Talks over ``stream``."""
        self._stream = stream
        self.fileno = stream.fileno
        self.close = stream.close

    def send(self, message: Message) -> None:
        """Sends a message."""
        self._stream.sendall(json.dumps(message).encode())

    def receive(self) -> tuple[Message | None, list[int]]:
        """The next message, with the descriptors that came with it; none at the end."""
        space = socket.CMSG_SPACE(2 * 4)
        packet, ancillary, _, _ = self._stream.recvmsg(_PACKET, space, socket.MSG_CMSG_CLOEXEC)
        descriptors = []
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors += list(memoryview(data[: len(data) // 4 * 4]).cast("i"))
        if not packet:
            return None, descriptors
        message: Message = json.loads(packet)
        return message, descriptors


class Template:
    """A process that can be forked."""

    def __init__(self, server: Socket, function: Function, mark: _fork.Mark) -> None:
        """Serves ``server`` with workers that call ``function``."""
        self._server = server
        self._function = function
        self._mark = mark
        self._children: set[int] = set()
        # Each SIGCHLD is a byte in this pipe.
        self._ended, self._tell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._tell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Until the orchestrator is gone."""
        self._server.send({"type": "ready"})
        try:
            self._loop()
        finally:
            # Each ends by itself too, but not while a library in C holds the
            # interpreter's lock; this process is always free.
            for child in self._children:
                with contextlib.suppress(OSError):
                    os.killpg(child, signal.SIGKILL)

    def _loop(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._server.fileno(), selectors.EVENT_READ)
            selector.register(self._ended, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if self._ended in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._ended, 4096)
                    self._reap()
                if self._server.fileno() in ready:
                    message, descriptors = self._server.receive()
                    if message is None:
                        return
                    self._answer(message, descriptors)

    def _reap(self) -> None:
        for child in list(self._children):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                self._children.remove(pid)
                self._server.send({"type": "exited", "pid": pid, "status": status})

    def _answer(self, message: Message, descriptors: list[int]) -> None:
        run_id = message["run_id"]
        try:
            child = self._start(run_id, message["environment"], descriptors)
            answer = {"type": "forked", "run_id": run_id, "pid": child}
        except OSError as error:
            answer = {"type": "not_forked", "run_id": run_id, "why": str(error)}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._server.send(answer)

    def _start(self, run_id: str, environment: list[list[str]], descriptors: list[int]) -> int:
        if len(descriptors) != 2:
            raise OSError("two descriptors must come with `fork`")
        if len(run_id) != len(_fork.NO_RUN):
            raise OSError(f"`{run_id}` is no run id")
        template = os.getpid()
        child = _fork.fork()
        if child == 0:
            self._live(lambda: self._work(template, run_id, environment, *descriptors))
        # The child does the same: whoever comes first, the group is there when
        # the orchestrator learns its number.
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        self._children.add(child)
        return child

    def _live(self, work: Callable[[], int]) -> None:
        """The child's life. No exception may get back into the template's own loop."""
        code = 1
        try:
            code = work()
        except BaseException as error:
            print(f"explr worker: {error!r}", file=sys.stderr)
        finally:
            _worker.exit_now(code)

    def _work(
        self, template: int, run_id: str, environment: list[list[str]], control: int, output: int
    ) -> int:
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.setpgid(0, 0)
        self._mark.set_parent_death_signal(PARENT_DEATH_SIGNAL)
        if os.getppid() != template:
            raise OSError("the template is gone")
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._ended)
        os.close(self._tell)
        self._server.close()
        self._mark.change(run_id)
        os.environ[RUN_VARIABLE] = run_id
        os.environ.update((name, value) for name, value in environment)
        gc.unfreeze()
        for finalizer in list(getattr(weakref.finalize, "_registry", ())):
            # Such as a temporary folder of the module: all workers share it.
            finalizer.atexit = False
        return _worker.run(Control(socket.socket(fileno=control)), self._function)


if __name__ == "__main__":
    _worker.exit_now(main())
