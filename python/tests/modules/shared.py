"""A module with a temporary folder, which goes when its process ends."""

import tempfile
from pathlib import Path
from typing import Any

FOLDER = tempfile.TemporaryDirectory()


def train(ctx: Any) -> float:
    return float(Path(FOLDER.name).exists())
