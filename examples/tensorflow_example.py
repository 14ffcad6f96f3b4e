"""A small convolutional network of TensorFlow, trained by a loop of one's own.

explr run configs/tensorflow.yaml
explr tune configs/tensorflow.yaml --n-trials 10
"""

from __future__ import annotations

import digits_data
import tensorflow as tf
from explr_sdk import TrainingContext, TrainingResult, TrialPruned

cross_entropy = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def build(width: int, dropout: float) -> tf.keras.Model:
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(width, 3, padding="same", activation="relu"),
            layers.Conv2D(2 * width, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(10),
        ]
    )


def tensors(part: digits_data.Part) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.constant(part.pictures[..., None]), tf.constant(part.digits)


def score(model: tf.keras.Model, x: tf.Tensor, y: tf.Tensor) -> tuple[float, float]:
    """Mean loss and share of right answers."""
    logits = model(x, training=False)
    right = tf.reduce_mean(tf.cast(tf.argmax(logits, 1) == y, tf.float32))
    return float(cross_entropy(y, logits)), float(right)


def train_model(ctx: TrainingContext) -> TrainingResult:
    given = ctx.hyperparameters
    train, validation, test = (tensors(part) for part in digits_data.load())
    model = build(given["width"], given["dropout"])
    optimizer = tf.keras.optimizers.Adam(given["lr"])
    optimizer.build(model.trainable_variables)
    state = tf.train.Checkpoint(model=model, optimizer=optimizer)
    start = 0
    if (checkpoint := ctx.latest_checkpoint()) is not None:
        state.read(str(checkpoint.path / "state")).assert_consumed()
        start = checkpoint.epoch

    @tf.function
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = cross_entropy(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    val_loss, epochs = float("inf"), start
    for epoch in ctx.epochs(range(start, given["epochs"])):
        batches = tf.data.Dataset.from_tensor_slices(train)
        batches = batches.shuffle(len(train[0]), seed=ctx.seed + epoch)
        for x, y in batches.batch(given["batch_size"], drop_remainder=True):
            loss = step(x, y)
        val_loss, val_accuracy = score(model, *validation)
        ctx.tracker.log_metrics(
            {"train_loss": loss, "val_loss": val_loss, "val_accuracy": val_accuracy}, epoch
        )
        epochs = epoch + 1
        # A folder, replaced when the new one is whole.
        ctx.save_checkpoint(
            "last", lambda path: state.write(str(path / "state")), epoch=epochs, step=0
        )
        ctx.report(epoch, val_loss)
        if ctx.should_prune():
            raise TrialPruned

    test_loss, test_accuracy = score(model, *test)
    ctx.tracker.log_model(model, input_example=test[0][:1].numpy())
    return TrainingResult(
        val_loss,
        metrics={"test_loss": test_loss, "test_accuracy": test_accuracy},
        epochs_completed=epochs,
    )
