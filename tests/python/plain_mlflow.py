"""A train function that knows MLflow only, as MLflow's tutorials show it."""

import mlflow


def train(ctx):
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    mlflow.set_experiment("another")
    with mlflow.start_run():
        mlflow.log_params(ctx.hyperparameters)
        mlflow.log_metric("plain", 1.5, step=3)
    mlflow.log_metric("plain", 2.5, step=4)
    ctx.tracker.log_metric("ours", 0.25, 1)
    raise ValueError("after all that")
