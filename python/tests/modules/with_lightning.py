"""Train functions that use Lightning, under the name that a variable gives."""

import importlib
import os

import torch

from explr_sdk import TrainingContext
from explr_sdk.integrations.lightning import ExplrCallback, ExplrLogger

pl = importlib.import_module(os.environ["LIGHTNING"])


class Line(pl.LightningModule):
    def __init__(self, lr: float, shape: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, _):
        loss = ((self.layer(batch[0]) - batch[1]) ** 2).mean()
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, _):
        self.log("val_loss", ((self.layer(batch[0]) - batch[1]) ** 2).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.hparams["lr"])


def train(ctx: TrainingContext) -> float:
    x = torch.arange(8, dtype=torch.float32).reshape(8, 1) / 8
    data = torch.utils.data.TensorDataset(x, 3 * x)
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=ctx.hyperparameters["epochs"],
        logger=ExplrLogger(ctx),
        log_every_n_steps=1,
        callbacks=[ExplrCallback(ctx, monitor=ctx.hyperparameters.get("monitor", "val_loss"))],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=ctx.checkpoint_dir,
    )
    trainer.fit(Line(ctx.hyperparameters["lr"]), loader, loader)
    ctx.tracker.log_metric("epochs", trainer.current_epoch)
    return float(trainer.callback_metrics["val_loss"])
