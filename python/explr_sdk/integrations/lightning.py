"""Lightning: a logger, and a callback that reports to the study.

>>> trainer = lightning.Trainer(
...     logger=ExplrLogger(ctx), callbacks=[ExplrCallback(ctx, monitor="val_loss")]
... )

Both names of the framework will do, ``lightning`` and ``pytorch_lightning``.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from explr_sdk._numbers import plain
from explr_sdk.context import TrainingContext
from explr_sdk.errors import LogError
from explr_sdk.integrations._loop import Loop, framework, pruned
from explr_sdk.tracker import Tracker, flatten

_pl = framework("Lightning", ("lightning.pytorch", "pytorch_lightning"), "lightning")
_Logger: Any = _pl.loggers.Logger
_Callback: Any = _pl.callbacks.Callback
_rank_zero_only: Any = _pl.utilities.rank_zero_only


class ExplrLogger(_Logger):  # type: ignore[misc]
    """Writes what a module logs to the run's journal."""

    def __init__(self, ctx: TrainingContext) -> None:
        """Logs to the run of ``ctx``."""
        super().__init__()
        self._ctx = ctx

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self._ctx.experiment_name

    @property
    def version(self) -> str:
        """The run's id."""
        return self._ctx.run_id

    @property
    def save_dir(self) -> str:
        """The run's folder for checkpoints."""
        return str(self._ctx.checkpoint_dir)

    @property
    def experiment(self) -> Tracker:
        """The run's tracker, for ``self.logger.experiment`` in a module."""
        return self._ctx.tracker

    @_rank_zero_only  # type: ignore[untyped-decorator]
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs metrics."""
        self._ctx.tracker.log_metrics(metrics, step)

    @_rank_zero_only  # type: ignore[untyped-decorator]
    def log_hyperparams(self, params: Mapping[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Logs a module's hyperparameters as params.

        Where the run's own hyperparameter of the same name is another one, it
        stays, with a warning.
        """
        given = vars(params) if isinstance(params, Namespace) else params
        for name, value in flatten(given).items():
            try:
                self._ctx.tracker.log_param(name, _in_json(name, value))
            except LogError as error:
                self._ctx.warn(f"a hyperparameter of the module is not logged: {error}")


class ExplrCallback(_Callback):  # type: ignore[misc]
    """Reports a metric after each epoch, and ends training when explr says so.

    A trial that has no hope is pruned, on all ranks. A run that should stop, or
    has no time for another epoch, ends as Lightning ends it.
    """

    def __init__(self, ctx: TrainingContext, monitor: str | None = "val_loss") -> None:
        """Reports the metric ``monitor``, or none."""
        super().__init__()
        self._loop = Loop(ctx)
        self._monitor = monitor

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Counts the time from here."""
        self._loop.begin()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Tells the display."""
        if trainer.is_global_zero and (trainer.max_epochs or 0) > 0:
            self._loop.ctx.progress(trainer.current_epoch, trainer.max_epochs)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Reports, and ends what has to end."""
        prune = end = False
        if trainer.is_global_zero:
            metrics = trainer.callback_metrics
            prune = self._loop.is_hopeless(trainer.current_epoch, metrics, self._monitor)
            end = self._loop.should_end()
        prune, end = trainer.strategy.broadcast((prune, end))
        if prune:
            raise pruned(trainer.current_epoch)
        trainer.should_stop = trainer.should_stop or end


def _in_json(name: str, value: Any) -> Any:
    try:
        return plain(value, name)
    except LogError:
        return str(value)
