"""A stand-in for explr: starts real workers and templates, and talks to them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import TestCase

PACKAGE = Path(__file__).resolve().parent.parent
MODULES = Path(__file__).resolve().parent / "modules"
#: Nothing that these tests wait for takes as long, on the slowest machine.
LONG = 120.0

Message = dict[str, Any]


class Run:
    """A run's folder, with what a worker is told of it."""

    def __init__(self, folder: Path, target: str, **context: Any) -> None:
        self.folder = folder
        self.journal = folder / "events.jsonl"
        self.code = {
            "kind": "python",
            "interpreter": sys.executable,
            "package": str(PACKAGE),
            "folder": str(MODULES),
            "target": target,
            "call": "function",
        }
        self.context = {
            "run_id": "01999999-aaaa-7bbb-8ccc-0123456789ab",
            "experiment": "tests",
            "function": target,
            "hyperparameters": {},
            "seed": 42,
            "device": "cpu",
            "threads": 1,
            "checkpoint_dir": str(folder / "checkpoints"),
            "artifact_dir": str(folder / "artifacts"),
            "attempt": 1,
            **context,
        }
        for name in ("checkpoints", "artifacts"):
            (folder / name).mkdir(exist_ok=True)

    def start(self) -> Message:
        return {
            "type": "start",
            "code": self.code,
            "context": self.context,
            "journal": str(self.journal),
            "system_metrics_interval": None,
        }

    def records(self, kind: str | None = None) -> list[Message]:
        lines = self.journal.read_bytes().splitlines()
        records = [json.loads(line) for line in lines]
        assert [record["seq"] for record in records] == list(range(len(records)))
        return [record for record in records if kind in (None, record["type"])]


class Line:
    """The orchestrator's end of a control socket."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.stream.settimeout(LONG)
        self._lines = stream.makefile("rb")

    def send(self, message: Message) -> None:
        self.stream.sendall(json.dumps(message).encode() + b"\n")

    def messages(self) -> Iterator[Message]:
        for line in self._lines:
            yield json.loads(line)

    def until(self, kind: str) -> Message:
        for message in self.messages():
            if message["type"] == kind:
                return message
        raise AssertionError(f"the worker ended without `{kind}`")

    def close(self) -> None:
        self._lines.close()
        self.stream.close()


class Worker(Line):
    """A worker process of its own."""

    def __init__(self, run: Run, **environment: str) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(ours)
        self.log = run.folder / "worker.log"
        with theirs, open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "explr_sdk._worker"],
                env=environ(EXPLR_CONTROL_FD=str(theirs.fileno()), **environment),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
        self.send(run.start())

    def outcome(self) -> Message:
        outcome: Message = self.until("finished")["outcome"]
        assert self.process.wait(LONG) == 0
        return outcome

    def end(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(LONG)
        self.close()


class Template:
    """A template process."""

    def __init__(self, target: str, folder: Path = MODULES) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(LONG)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "explr_sdk._template"],
                env=environ(
                    EXPLR_TEMPLATE_FD=str(theirs.fileno()),
                    EXPLR_RUN_ID="00000000-0000-0000-0000-000000000000",
                ),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        code = {"kind": "python", "folder": str(folder), "target": target, "call": "function"}
        self.send({"type": "load", "code": code, "device": "cpu"})

    def send(self, message: Message) -> None:
        self._ours.sendall(json.dumps(message).encode())

    def receive(self) -> Message:
        packet = self._ours.recv(1 << 20)
        assert packet, "the template has ended"
        message: Message = json.loads(packet)
        return message

    def fork(self, run: Run, environment: dict[str, str] | None = None) -> tuple[Line, int]:
        """A forked worker, and its process id."""
        ours, theirs = socket.socketpair()
        message = {
            "type": "fork",
            "run_id": run.context["run_id"],
            "environment": list((environment or {}).items()),
        }
        with theirs, open(run.folder / "worker.log", "ab") as log:
            socket.send_fds(
                self._ours, [json.dumps(message).encode()], [theirs.fileno(), log.fileno()]
            )
        answer = self.receive()
        if answer["type"] != "forked":
            ours.close()
            raise AssertionError(answer)
        line = Line(ours)
        line.send(run.start())
        return line, answer["pid"]

    def end(self) -> None:
        self._ours.close()
        self.process.wait(LONG)


class Case(TestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()

    def worker(self, run: Run, **environment: str) -> Worker:
        worker = Worker(run, **environment)
        self.addCleanup(worker.end)
        return worker

    def template(self, target: str, folder: Path = MODULES) -> Template:
        template = Template(target, folder)
        self.addCleanup(template.end)
        return template


def environ(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PACKAGE), **more}


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"
