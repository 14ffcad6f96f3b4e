"""A small perceptron of Lightning that reads handwritten digits.

explr run configs/lightning.yaml
explr tune configs/lightning.yaml --n-trials 10
"""

from __future__ import annotations

import digits_data
import lightning
import torch
from explr_sdk import TrainingContext, TrainingResult
from explr_sdk.integrations.lightning import ExplrCallback, ExplrLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Reader(lightning.LightningModule):
    def __init__(self, lr: float, width: int, dropout: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 10),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def _score(self, kind: str, batch: list[torch.Tensor]) -> torch.Tensor:
        logits = self(batch[0])
        loss = nn.functional.cross_entropy(logits, batch[1])
        right = (logits.argmax(1) == batch[1]).float().mean()
        epochs = {"on_step": False, "on_epoch": True, "batch_size": len(batch[0])}
        self.log_dict({f"{kind}_loss": loss, f"{kind}_accuracy": right}, **epochs)
        return loss

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        return self._score("train", batch)

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        self._score("val", batch)

    def test_step(self, batch: list[torch.Tensor]) -> None:
        self._score("test", batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self.hparams["lr"])


def train_model(ctx: TrainingContext) -> TrainingResult:
    given = ctx.hyperparameters
    train, validation, test = (
        DataLoader(
            TensorDataset(torch.from_numpy(part.pictures), torch.from_numpy(part.digits)),
            batch_size=given["batch_size"],
            shuffle=index == 0,
        )
        for index, part in enumerate(digits_data.load())
    )
    trainer = lightning.Trainer(
        accelerator="cpu" if ctx.device == "cpu" else "gpu",
        devices=1,
        max_epochs=given["epochs"],
        logger=ExplrLogger(ctx),
        callbacks=[ExplrCallback(ctx, monitor="val_loss")],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Reader(given["lr"], given["width"], given["dropout"])
    trainer.fit(model, train, validation)
    val_loss = float(trainer.callback_metrics["val_loss"])
    [metrics] = trainer.test(model, test, verbose=False)
    ctx.tracker.log_model(model.net, input_example=test.dataset[:1][0])
    return TrainingResult(val_loss, metrics=metrics, epochs_completed=trainer.current_epoch)
