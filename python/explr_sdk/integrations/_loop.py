"""What explr wants of a training loop that belongs to a framework."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Mapping
from typing import Any

from explr_sdk._epochs import affordable
from explr_sdk.context import TrainingContext
from explr_sdk.errors import ReportError, TrialPruned


class Loop:
    """Reports a loop's epochs to the study, and says when the loop should end."""

    def __init__(self, ctx: TrainingContext) -> None:
        """For a loop that begins now or with ``begin``."""
        self.ctx = ctx
        self.begin()

    def begin(self) -> None:
        """The loop begins."""
        self._began = time.monotonic()
        self._done = 0

    def is_hopeless(self, step: int, metrics: Mapping[str, Any], monitor: str | None) -> bool:
        """Reports the metric ``monitor``, if any; whether the trial should be pruned."""
        if monitor is None:
            return False
        if monitor not in metrics:
            raise ReportError(
                f"there is no metric `{monitor}` to report; there is "
                f"{', '.join(metrics) or 'none'}; give one of them as `monitor`, or None"
            )
        self.ctx.report(step, metrics[monitor])
        return self.ctx.should_prune()

    def should_end(self) -> bool:
        """Whether the run was asked to end, or has no time for an epoch like those before."""
        self._done += 1
        spent = time.monotonic() - self._began
        fits = affordable(spent, self._done, self.ctx.time_left()) != 0
        return self.ctx.stop_requested or not fits


def pruned(step: int) -> TrialPruned:
    """What ends a trial that has no hope."""
    return TrialPruned(f"the study gave the trial up at step {step}")


def framework(name: str, modules: tuple[str, ...], install: str) -> Any:
    """The first of the modules that is imported already, or else that can be."""
    for module in modules:
        if module in sys.modules:
            return sys.modules[module]
    for module in modules:
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
    raise ModuleNotFoundError(
        f"this needs {name}; install it for `{sys.executable}`: pip install {install}"
    )
