"""Hugging Face: a callback for ``transformers.Trainer``.

>>> trainer = Trainer(model, args, train_dataset=train, eval_dataset=validation,
...                   callbacks=[ExplrCallback(ctx)])
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

from explr_sdk.context import TrainingContext
from explr_sdk.integrations._loop import Loop, framework, pruned

_transformers = framework("transformers", ("transformers",), "transformers[torch]")
_Callback: Any = _transformers.TrainerCallback


class ExplrCallback(_Callback):  # type: ignore[misc]
    """Logs what the trainer logs, and ends training when explr says so.

    A trial that has no hope is pruned after an evaluation. A run that should
    stop ends after the step that is under way. The trainer's own integration
    of MLflow does nothing then: it would log everything twice.
    """

    def __init__(self, ctx: TrainingContext, monitor: str | None = None) -> None:
        """Reports the metric ``monitor`` after each evaluation that has it.

        Without a name it is ``metric_for_best_model``, else ``eval_loss``.
        """
        super().__init__()
        self._ctx = ctx
        self._given = monitor
        self._monitor: str | None = None
        self._loop = Loop(ctx)
        _silence_mlflow()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Counts the time from here, and knows now which metric counts."""
        name = self._given or args.metric_for_best_model or "eval_loss"
        self._monitor = name if name.startswith("eval_") else f"eval_{name}"
        self._loop.begin()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any
    ) -> None:
        """Logs what are numbers."""
        values = {key: each for key, each in logs.items() if isinstance(each, numbers.Number)}
        if state.is_world_process_zero:
            self._ctx.tracker.log_metrics(values, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tells the display, and stops."""
        if state.is_world_process_zero:
            self._ctx.progress_steps(state.global_step, state.max_steps)
        if self._ctx.stop_requested:
            control.should_training_stop = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stops where there is no time for another epoch."""
        if self._loop.should_end():
            control.should_training_stop = True

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any], **_: Any
    ) -> None:
        """Reports, but not what was evaluated outside training or on other data."""
        if self._monitor not in metrics:
            return
        if self._loop.is_hopeless(state.global_step, metrics, self._monitor):
            raise pruned(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Is through with reporting."""
        self._monitor = None


def _silence_mlflow() -> None:
    silent = _transformers.integrations.MLflowCallback
    for name in list(vars(silent)):
        if name.startswith("on_"):
            setattr(silent, name, getattr(_Callback, name))
