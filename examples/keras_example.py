"""A small perceptron of Keras that reads handwritten digits, trained by ``fit``.

explr run configs/keras.yaml
explr tune configs/keras.yaml --n-trials 10
"""

from __future__ import annotations

import digits_data
import keras
from explr_sdk import TrainingContext, TrainingResult
from explr_sdk.integrations.keras import ExplrCallback, resume


def train_model(ctx: TrainingContext) -> TrainingResult:
    given = ctx.hyperparameters

    def build() -> keras.Model:
        model = keras.Sequential(
            [
                keras.Input((8, 8)),
                keras.layers.Flatten(),
                keras.layers.Dense(given["width"], activation="relu"),
                keras.layers.Dropout(given["dropout"]),
                keras.layers.Dense(given["width"], activation="relu"),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(
            keras.optimizers.Adam(given["lr"]),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    train, validation, test = digits_data.load()
    model, epoch = resume(ctx, build)
    model.fit(
        *train,
        batch_size=given["batch_size"],
        epochs=given["epochs"],
        initial_epoch=epoch,
        validation_data=validation,
        verbose=0,
        callbacks=[ExplrCallback(ctx, monitor="val_loss", checkpoints=True)],
    )
    val_loss, _ = model.evaluate(*validation, verbose=0)
    test_loss, test_accuracy = model.evaluate(*test, verbose=0)
    ctx.tracker.log_model(model, input_example=test.pictures[:1])
    return TrainingResult(
        val_loss, metrics={"test_loss": test_loss, "test_accuracy": test_accuracy}
    )
