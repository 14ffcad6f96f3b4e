"""Train functions that need a GPU; ``tests/gpu.rs`` runs them."""

import os

import torch
from explr_sdk import TrainingContext
from torch import nn

BLOCK = 64 << 20


def tells(ctx: TrainingContext) -> float:
    """Writes down which GPU it has."""
    ctx.tracker.log_dict(
        {
            "device": ctx.device,
            "available": torch.cuda.is_available(),
            "count": torch.cuda.device_count(),
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "sum": float(torch.ones(1000, device=ctx.device).sum()),
        },
        "told.json",
    )
    return 0.0


def fills(ctx: TrainingContext) -> float:
    """Takes memory until there is none left, if `gigabytes` do not end it before."""
    most = ctx.hyperparameters.get("gigabytes", 1e9) * 1e9
    held = []
    try:
        while len(held) * BLOCK < most:
            held.append(torch.empty(BLOCK, dtype=torch.uint8, device=ctx.device))
    finally:
        ctx.tracker.log_metric("reserved", float(torch.cuda.memory_reserved()), 0)
    return ctx.hyperparameters.get("gigabytes", 0.0)


def trains(ctx: TrainingContext) -> float:
    """A small convolutional network, with algorithms that give the same each time."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(True)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(8 * 36, 10)
    ).to(ctx.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    x = torch.randn(256, 1, 8, 8, device=ctx.device)
    y = torch.randint(10, (256,), device=ctx.device)
    loss = torch.zeros(())
    for step in range(50):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        ctx.tracker.log_metric("loss", loss, step)
    return float(loss)


def waits(ctx: TrainingContext) -> float:
    """Computes long enough to be seen by the system metrics."""
    a = torch.randn(2048, 2048, device=ctx.device)
    for _ in range(2000):
        a = (a @ a).tanh()
    torch.cuda.synchronize()
    return 0.0
