"""Train functions that call MLflow."""

import os
import sys
from typing import Any

import mlflow

from explr_sdk import TrainingContext


def plain_calls(ctx: TrainingContext) -> float:
    """As in MLflow's tutorials."""
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    experiment = mlflow.set_experiment("of my own")
    ctx.tracker.log_param("experiment", experiment.name)
    with mlflow.start_run(run_name="named here"):
        mlflow.log_params(ctx.hyperparameters)
        mlflow.log_param("more", 1e-6)
        mlflow.log_metric("loss", 0.5, step=1)
        with mlflow.start_run(nested=True):
            mlflow.log_metric("inner", 1)
    with mlflow.start_run() as again:
        mlflow.set_tag("twice", "yes")
    # Without `start_run`, and open to the end.
    mlflow.log_metric("loss", 0.25, step=2)
    ctx.tracker.log_param("run", again.info.run_id)
    ctx.tracker.log_param("inherited", os.environ["MLFLOW_TRACKING_URI"])
    return 0.25


def autologs(ctx: TrainingContext) -> float:
    from sklearn.linear_model import LogisticRegression

    mlflow.autolog(log_models=False)
    model: Any = LogisticRegression(C=ctx.hyperparameters["C"])
    model.fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    return 0.0


def uses_nothing(ctx: TrainingContext) -> float:
    return float("mlflow" in sys.modules)
