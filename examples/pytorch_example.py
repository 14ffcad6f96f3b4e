"""A small convolutional network of PyTorch that reads handwritten digits.

explr run configs/pytorch.yaml
explr tune configs/pytorch.yaml --n-trials 10
"""

from __future__ import annotations

import digits_data
import torch
from explr_sdk import TrainingContext, TrainingResult, TrialPruned
from torch import nn


def build(width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * 16, 64),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(64, 10),
    )


def tensors(part: digits_data.Part, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    pictures = torch.from_numpy(part.pictures).unsqueeze(1)
    return pictures.to(device), torch.from_numpy(part.digits).to(device)


@torch.no_grad()
def score(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """Mean loss and share of right answers."""
    model.eval()
    logits = model(x)
    right = (logits.argmax(1) == y).float().mean()
    return nn.functional.cross_entropy(logits, y).item(), right.item()


def train_model(ctx: TrainingContext) -> TrainingResult:
    given = ctx.hyperparameters
    train, validation, test = (tensors(part, ctx.device) for part in digits_data.load())
    model = build(given["width"], given["dropout"]).to(ctx.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=given["lr"], weight_decay=given["weight_decay"]
    )
    start = 0
    if (checkpoint := ctx.latest_checkpoint()) is not None:
        state = torch.load(checkpoint.path, map_location=ctx.device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"].cpu())
        start = checkpoint.epoch

    val_loss, epochs = float("inf"), start
    for epoch in ctx.epochs(range(start, given["epochs"])):
        model.train()
        for batch in torch.randperm(len(train[0])).split(given["batch_size"]):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(train[0][batch]), train[1][batch])
            loss.backward()
            optimizer.step()
        val_loss, val_accuracy = score(model, *validation)
        ctx.tracker.log_metrics(
            {"train_loss": loss, "val_loss": val_loss, "val_accuracy": val_accuracy}, epoch
        )
        epochs = epoch + 1
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "rng": torch.get_rng_state(),
        }
        # One file, replaced when the new one is whole.
        ctx.save_checkpoint(
            "last.pt", lambda path, state=state: torch.save(state, path), epoch=epochs, step=0
        )
        ctx.report(epoch, val_loss)
        if ctx.should_prune():
            raise TrialPruned

    test_loss, test_accuracy = score(model, *test)
    ctx.tracker.log_model(model, input_example=test[0][:1])
    return TrainingResult(
        val_loss,
        metrics={"test_loss": test_loss, "test_accuracy": test_accuracy},
        epochs_completed=epochs,
    )
