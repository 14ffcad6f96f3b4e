"""Train functions for explr, in Python.

>>> def train_model(ctx: TrainingContext) -> TrainingResult:
...     for epoch in ctx.epochs(range(10)):
...         loss = 1.0 / (epoch + 1)
...         ctx.tracker.log_metric("val_loss", loss, epoch)
...         ctx.report(epoch, loss)
...         if ctx.should_prune():
...             raise TrialPruned
...     return TrainingResult(loss)
"""

from explr_sdk._checkpoints import Checkpoint
from explr_sdk.context import TrainingContext
from explr_sdk.errors import (
    ExplrError,
    JournalError,
    LogError,
    ReportError,
    SuggestError,
    TrialPruned,
)
from explr_sdk.result import TrainingResult
from explr_sdk.tracker import Tracker

__all__ = [
    "Checkpoint",
    "ExplrError",
    "JournalError",
    "LogError",
    "ReportError",
    "SuggestError",
    "Tracker",
    "TrainingContext",
    "TrainingResult",
    "TrialPruned",
]

__version__ = "0.1.0"
