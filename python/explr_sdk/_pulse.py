"""Tells the orchestrator that the worker lives and how far it is.

A thread of its own, so that the train function never waits for whoever reads
the other end.
"""

from __future__ import annotations

import time
from threading import Event, Thread

from explr_sdk._host import Host

_BEAT = 1.0
_REFRESH = 0.1


class Pulse:
    """The running thread."""

    def __init__(self, host: Host) -> None:
        """Starts sending what changes in ``host``."""
        self._host = host
        self._stop = Event()
        self._thread = Thread(target=self._run, name="explr-pulse", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Sends what is left and ends the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        beaten: float | None = None
        while True:
            last_round = self._stop.is_set()
            for message in self._host.take_news():
                self._host.send(message)
            if beaten is None or time.monotonic() - beaten >= _BEAT:
                self._host.send({"type": "heartbeat"})
                beaten = time.monotonic()
            if last_round:
                return
            self._stop.wait(_REFRESH)
