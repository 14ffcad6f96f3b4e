"""What a train function returns when it succeeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explr_sdk._names import check_key
from explr_sdk._numbers import count, number, real


@dataclass(frozen=True)
class TrainingResult:
    """The primary metric, and what else is known of the trained model.

    The primary metric is what a study optimises and what lists are sorted by:
    a loss named ``val_loss``, the smaller the better, unless said otherwise. A
    primary metric that is NaN or infinite makes the run fail.

    >>> result = TrainingResult(0.98, "val_accuracy", "maximize", metrics={"val_loss": 0.12})
    """

    #: Value of the primary metric.
    primary_metric: float
    #: Its name.
    primary_metric_name: str = "val_loss"
    #: ``minimize`` or ``maximize``.
    direction: str = "minimize"
    #: Further final metrics.
    metrics: Mapping[str, float] = field(default_factory=dict)
    #: The best model's file, absolute or relative to the run's folder.
    best_model_path: str | Path | None = None
    #: Number of epochs that were completed.
    epochs_completed: int | None = None
    #: Training ended before its planned end.
    stopped_early: bool = False

    def __post_init__(self) -> None:
        """Takes whatever is a number as one."""
        if self.direction not in ("minimize", "maximize"):
            raise ValueError(
                f"the direction must be `minimize` or `maximize`, not `{self.direction}`"
            )
        name = self.primary_metric_name
        for key in (name, *self.metrics):
            check_key("metric", key)
        value = real(self.primary_metric, f"the primary metric `{name}`")
        object.__setattr__(self, "primary_metric", value)
        metrics = {key: real(value, f"`{key}`") for key, value in self.metrics.items()}
        object.__setattr__(self, "metrics", metrics)
        if self.epochs_completed is not None:
            epochs = count(self.epochs_completed, "`epochs_completed`")
            object.__setattr__(self, "epochs_completed", epochs)


def read(returned: Any, last_report: float | None) -> TrainingResult:
    """The result that a train function means by what it returned."""
    if isinstance(returned, TrainingResult):
        return returned
    if isinstance(returned, Mapping):
        if not returned:
            raise TypeError("the train function returned an empty dict; return its metrics")
        name, *_ = returned
        others = {key: value for key, value in returned.items() if key != name}
        return TrainingResult(returned[name], name, metrics=others)
    if returned is not None:
        return TrainingResult(real(returned, "what the train function returns"))
    if last_report is None:
        raise TypeError(
            "the train function returned None and reported no value; return the metric, a dict "
            "of metrics or a TrainingResult"
        )
    return TrainingResult(last_report)


def to_json(result: TrainingResult, stop_seen: bool) -> dict[str, Any]:
    """The result as the journal and the orchestrator take it."""
    message: dict[str, Any] = {
        "primary_metric": number(result.primary_metric),
        "primary_metric_name": result.primary_metric_name,
        "direction": result.direction,
        "metrics": {key: number(value) for key, value in result.metrics.items()},
    }
    if result.best_model_path is not None:
        message["best_model_path"] = str(result.best_model_path)
    if result.epochs_completed is not None:
        message["epochs_completed"] = result.epochs_completed
    message["stopped_early"] = bool(result.stopped_early) or stop_seen
    return message
