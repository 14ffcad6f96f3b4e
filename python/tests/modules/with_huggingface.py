"""Train functions that use the trainer of transformers."""

import torch
from transformers import Trainer, TrainingArguments

from explr_sdk import TrainingContext
from explr_sdk.integrations.huggingface import ExplrCallback


class Line(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, x, labels=None):
        out = self.layer(x)
        return {"loss": ((out - labels) ** 2).mean(), "logits": out}


def train(ctx: TrainingContext) -> float:
    x = torch.arange(8, dtype=torch.float32).reshape(8, 1) / 8
    data = [{"x": each, "labels": 3 * each} for each in x]
    args = TrainingArguments(
        output_dir=str(ctx.checkpoint_dir),
        report_to=ctx.hyperparameters.get("report_to", "none"),
        num_train_epochs=ctx.hyperparameters["epochs"],
        per_device_train_batch_size=4,
        learning_rate=0.1,
        logging_steps=1,
        eval_strategy="epoch",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        seed=ctx.seed,
    )
    trainer = Trainer(
        Line(), args, train_dataset=data, eval_dataset=data, callbacks=[ExplrCallback(ctx)]
    )
    trainer.train()
    ctx.tracker.log_metric("steps", trainer.state.global_step)
    # An evaluation of its own is no report.
    return float(trainer.evaluate()["eval_loss"])
