"""Keras: a callback that logs, reports to the study, and saves checkpoints.

>>> model, epoch = resume(ctx, build_model)
>>> model.fit(x, y, validation_split=0.1, epochs=20, initial_epoch=epoch, verbose=0,
...           callbacks=[ExplrCallback(ctx, checkpoints=True)])
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from explr_sdk.context import TrainingContext
from explr_sdk.integrations._loop import Loop, framework, pruned

_keras = framework("Keras", ("keras", "tensorflow.keras"), "keras tensorflow")
_Callback: Any = _keras.callbacks.Callback

#: Checkpoints that are kept: the newest, and the one before it.
_KEPT = 2


class ExplrCallback(_Callback):  # type: ignore[misc]
    """Logs the metrics of each epoch, and ends training when explr says so.

    A trial that has no hope is pruned. A run that should stop, or has no time
    for another epoch, ends as with ``model.stop_training``.
    """

    def __init__(
        self, ctx: TrainingContext, monitor: str | None = "val_loss", *, checkpoints: bool = False
    ) -> None:
        """Reports the metric ``monitor``, or none.

        With ``checkpoints`` the model is saved after each epoch, for ``resume``.
        """
        super().__init__()
        self._loop = Loop(ctx)
        self._monitor = monitor
        self._saves = checkpoints
        self._saved: list[Path] = []

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Counts the time from here."""
        self._loop.begin()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Tells the display."""
        self._loop.ctx.progress(epoch, self.params["epochs"])

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Logs, saves, reports, and ends what has to end."""
        metrics = dict(logs or {})
        self._loop.ctx.tracker.log_metrics(metrics, epoch)
        if self._saves:
            self._save(epoch + 1)
        if self._loop.is_hopeless(epoch, metrics, self._monitor):
            raise pruned(epoch)
        if self._loop.should_end():
            self.model.stop_training = True

    def _save(self, epoch: int) -> None:
        step = int(self.model.optimizer.iterations)
        name = f"epoch-{epoch}.keras"
        path = self._loop.ctx.save_checkpoint(name, self.model.save, epoch=epoch, step=step)
        self._saved.append(path)
        while len(self._saved) > _KEPT:
            self._saved.pop(0).unlink(missing_ok=True)


def resume(ctx: TrainingContext, build: Callable[[], Any]) -> tuple[Any, int]:
    """The model of the run's newest checkpoint, and the epoch to go on with.

    In a run that has none it is the model that ``build`` makes, and epoch 0.
    The optimiser goes on where it was. Call it before the first metric.
    """
    checkpoint = ctx.latest_checkpoint()
    if checkpoint is None:
        return build(), 0
    return _keras.models.load_model(checkpoint.path), checkpoint.epoch
