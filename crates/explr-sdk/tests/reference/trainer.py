"""Writes trainer.json: the losses of a training loop in PyTorch.

    python trainer.py         # with PyTorch 2.10

A small net in float32 on data that both sides compute, in the order of the
data, with AdamW, a cosine schedule, clipping, and gradients over two batches:
150 samples in batches of 8 are 9 steps of two batches and one of a single one.
"""

import json
import pathlib

import torch

STEPS, SAMPLES, BATCH, ACCUMULATE = 200, 150, 8, 2
RATE, DECAY, CLIP = 0.01, 0.1, 0.5


def grid(rows, columns, f):
    return torch.tensor([[f(i, j) for j in range(columns)] for i in range(rows)],
                        dtype=torch.float32)


INPUT = grid(SAMPLES, 5, lambda i, j: ((i * 7 + j * 13) % 11 - 5) / 5)
TARGET = grid(SAMPLES, 3, lambda i, j: ((i * 3 + j * 5) % 7 - 3) / 3)


def main():
    first, second = torch.nn.Linear(5, 16), torch.nn.Linear(16, 3)
    with torch.no_grad():
        first.weight.copy_(grid(16, 5, lambda i, j: ((i * 5 + j * 3) % 9 - 4) / 9))
        second.weight.copy_(grid(3, 16, lambda i, j: ((i * 7 + j * 2) % 9 - 4) / 12))
        first.bias.zero_()
        second.bias.zero_()
    net = torch.nn.Sequential(first, torch.nn.Tanh(), second)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    losses, norms = [], []
    starts = range(0, SAMPLES, BATCH)
    windows = [starts[i:i + ACCUMULATE] for i in range(0, len(starts), ACCUMULATE)]
    while len(norms) < STEPS:
        for window in windows:
            for start in window:
                batch = slice(start, start + BATCH)
                loss = torch.nn.functional.mse_loss(net(INPUT[batch]), TARGET[batch])
                (loss / len(window)).backward()
                losses.append(loss.item())
            norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP).item())
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    result = {"torch": torch.__version__, "losses": losses, "norms": norms}
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
