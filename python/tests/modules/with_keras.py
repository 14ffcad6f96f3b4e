"""Train functions that use Keras."""

import keras
import numpy as np

from explr_sdk import TrainingContext
from explr_sdk.integrations.keras import ExplrCallback, resume


def build() -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.1), "mse", metrics=["mae"])
    return model


def train(ctx: TrainingContext) -> float:
    x = np.arange(8, dtype="float32").reshape(8, 1) / 8
    model, epoch = resume(ctx, build)
    ctx.tracker.log_param("begins", [epoch, int(model.optimizer.iterations)])
    history = model.fit(
        x,
        3 * x,
        batch_size=4,
        epochs=ctx.hyperparameters["epochs"],
        initial_epoch=epoch,
        validation_data=(x, 3 * x),
        shuffle=False,
        verbose=0,
        callbacks=[ExplrCallback(ctx, checkpoints=True)],
    )
    ctx.tracker.log_metric("epochs", len(history.epoch))
    return float(history.history["val_loss"][-1])
