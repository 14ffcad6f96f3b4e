"""Writes optimizers.json: where torch.optim's optimisers take a small model.

    python optimizers.py      # with PyTorch 2.10

Least squares in float64 with two parameter groups, the bias with a rate of its
own and no weight decay. Each case has the parameters after some of the steps,
and the norm of the gradients before clipping where there is any.
"""

import json
import pathlib

import torch

STEPS = 60
RATE, BIAS_RATE = 0.05, 0.02

CASES = [
    ["SGD", {}],
    ["SGD", {"momentum": 0.9, "weight_decay": 0.1}],
    ["SGD", {"momentum": 0.9, "nesterov": True}],
    ["SGD", {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01}],
    ["Adam", {}],
    ["Adam", {"weight_decay": 0.1, "betas": [0.8, 0.95], "eps": 1e-6}],
    ["Adam", {"amsgrad": True}],
    ["AdamW", {"weight_decay": 0.2}],
    ["AdamW", {"weight_decay": 0.2, "amsgrad": True}],
    ["RMSprop", {}],
    ["RMSprop", {"alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.1}],
    ["Adagrad", {}],
    ["Adagrad", {"lr_decay": 0.05, "weight_decay": 0.1, "initial_accumulator_value": 0.2,
                 "eps": 1e-7}],
    ["LBFGS", {"max_iter": 3}],
    ["LBFGS", {"max_iter": 4, "history_size": 5, "line_search_fn": "strong_wolfe"}],
    ["SGD", {"momentum": 0.9, "clip": 0.25}],
    ["AdamW", {"weight_decay": 0.01, "clip": 0.1}],
    ["SGD", {"momentum": 0.9, "one_cycle": 0.2}],
    ["Adam", {"one_cycle": 0.2}],
]


def grid(rows, columns, f):
    return torch.tensor([[f(i, j) for j in range(columns)] for i in range(rows)],
                        dtype=torch.float64)


INPUT = grid(16, 5, lambda i, j: ((i * 7 + j * 13) % 11 - 5) / 5)
TARGET = grid(16, 3, lambda i, j: ((i * 3 + j * 5) % 7 - 3) / 3)


def trace(name, settings):
    settings = dict(settings)
    clip = settings.pop("clip", None)
    one_cycle = settings.pop("one_cycle", None)
    weight = grid(5, 3, lambda i, j: ((i * 3 + j) % 5 - 2) / 4).requires_grad_()
    bias = grid(1, 3, lambda i, j: j / 10)[0].requires_grad_()
    kind = getattr(torch.optim, name)
    if name == "LBFGS":
        optimizer = kind([weight, bias], lr=RATE, **settings)
    else:
        groups = [{"params": [weight]}, {"params": [bias], "lr": BIAS_RATE, "weight_decay": 0.0}]
        optimizer = kind(groups, lr=RATE, foreach=False, **settings)
    scheduler = one_cycle and torch.optim.lr_scheduler.OneCycleLR(
        optimizer, one_cycle, total_steps=STEPS + 1)
    points, norms, losses = [], [], []

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(INPUT @ weight + bias, TARGET)
        loss.backward()
        return loss

    for step in range(STEPS):
        if clip is None:
            loss = optimizer.step(closure)
        else:
            loss = closure()
            norms.append(torch.nn.utils.clip_grad_norm_([weight, bias], clip).item())
            optimizer.step()
        losses.append(loss.item())
        if scheduler:
            scheduler.step()
        if step < 3 or step % 10 == 9:
            points.append([step, weight.flatten().tolist() + bias.tolist()])
    return {"points": points, "norms": norms, "losses": losses}


def main():
    cases = [{"optimizer": name, "settings": settings} | trace(name, settings)
             for name, settings in CASES]
    text = ",\n".join(json.dumps(case) for case in cases)
    text = '{"torch": "%s", "steps": %d, "rate": %s, "bias_rate": %s, "cases": [\n%s\n]}\n' % (
        torch.__version__, STEPS, RATE, BIAS_RATE, text)
    pathlib.Path(__file__).with_suffix(".json").write_text(text)


if __name__ == "__main__":
    main()
