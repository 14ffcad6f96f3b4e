"""The worker's end of the control socket: a JSON object a line, each way.

It carries nothing that must last; the journal does.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sys
from threading import Lock
from typing import Any

#: Environment variable that holds the number of the descriptor.
FD_VARIABLE = "EXPLR_CONTROL_FD"
#: Environment variable that marks every process of a run.
RUN_VARIABLE = "EXPLR_RUN_ID"

Message = dict[str, Any]


class Control:
    """Talks to the orchestrator."""

    def __init__(self, stream: socket.socket) -> None:
        """Talks over ``stream``."""
        self._stream = stream
        self._sending = Lock()
        self._received = b""

    def send(self, message: Message) -> None:
        """Sends a message. An orchestrator that is gone is the watchdog's business."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._sending, contextlib.suppress(OSError):
            self._stream.sendall(line)

    def receive(self) -> Message | None:
        """The next message; none when the orchestrator is gone. For one thread at a time."""
        while True:
            line, newline, rest = self._received.partition(b"\n")
            if not newline:
                try:
                    part = self._stream.recv(64 << 10)
                except OSError:
                    return None
                if not part:
                    return None
                self._received += part
                continue
            self._received = rest
            try:
                message = json.loads(line)
                if isinstance(message, dict):
                    return message
            except ValueError:
                pass
            print("explr worker: a message that is not JSON", file=sys.stderr)

    def forget(self) -> None:
        """Closes the socket in a forked child: it is the parent's."""
        self._sending = Lock()
        self._stream.close()


def inherited(variable: str) -> socket.socket:
    """The socket that was left to this process, kept from those it starts."""
    text = os.environ.pop(variable, "")
    if not text.isdigit():
        raise OSError(f"{variable} is not a number")
    fd = int(text)
    fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    return socket.socket(fileno=fd)
