"""A module that starts a thread when it is imported."""

import threading
from typing import Any

threading.Thread(target=threading.Event().wait, daemon=True).start()


def train(ctx: Any) -> float:
    return 0.0
