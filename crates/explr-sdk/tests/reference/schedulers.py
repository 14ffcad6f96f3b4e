"""Writes schedulers.json: the rates that torch.optim.lr_scheduler gives.

    python schedulers.py      # with PyTorch 2.10

Each case is a scheduler's class with its arguments, and the rates (and the
momentum, where it changes) of every step for two parameter groups. Equal
values in a row are written once, with their number.
"""

import json
import math
import pathlib
import warnings
from itertools import groupby

import torch
from torch.optim import lr_scheduler as schedulers

warnings.filterwarnings("ignore")

STEPS = 200
RATES = [0.1, 0.003]
ONE_CYCLE = {"max_lr": [0.5, 0.02], "total_steps": STEPS + 1}


def metric(step):
    """A loss that falls, stalls, rises and falls again, with exact arithmetic."""
    return abs((step * 37) % 101 - 50) / 64 + max(0, 60 - step) / 8 - (2.0 if step > 150 else 0.0)


CASES = [
    ["StepLR", {"step_size": 30, "gamma": 0.1}],
    ["StepLR", {"step_size": 1, "gamma": 0.97}],
    ["StepLR", {"step_size": 7, "gamma": 1.1}],
    ["MultiStepLR", {"milestones": [30, 80, 150], "gamma": 0.1}],
    ["MultiStepLR", {"milestones": [90, 20, 90, 0], "gamma": 0.5}],
    ["ConstantLR", {"factor": 0.25, "total_iters": 10}],
    ["ConstantLR", {"factor": 1 / 3, "total_iters": 1}],
    ["LinearLR", {"start_factor": 0.1, "end_factor": 1.0, "total_iters": 20}],
    ["LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 150}],
    ["LinearLR", {"start_factor": 0.3, "end_factor": 0.8, "total_iters": 1}],
    ["ExponentialLR", {"gamma": 0.95}],
    ["ExponentialLR", {"gamma": 1.02}],
    ["PolynomialLR", {"total_iters": 120, "power": 1.0}],
    ["PolynomialLR", {"total_iters": 120, "power": 2.0}],
    ["PolynomialLR", {"total_iters": 300, "power": 0.9}],
    ["CosineAnnealingLR", {"T_max": 200, "eta_min": 0.0}],
    ["CosineAnnealingLR", {"T_max": 50, "eta_min": 1e-5}],
    ["CosineAnnealingLR", {"T_max": 1, "eta_min": 0.01}],
    ["CosineAnnealingLR", {"T_max": 7, "eta_min": 0.0}],
    ["CosineAnnealingWarmRestarts", {"T_0": 10, "T_mult": 1, "eta_min": 0.0}],
    ["CosineAnnealingWarmRestarts", {"T_0": 10, "T_mult": 2, "eta_min": 1e-4}],
    ["CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 3, "eta_min": 0.0}],
    ["OneCycleLR", ONE_CYCLE],
    ["OneCycleLR", ONE_CYCLE | {"anneal_strategy": "linear", "pct_start": 0.1}],
    ["OneCycleLR", ONE_CYCLE | {"three_phase": True, "pct_start": 0.4}],
    ["OneCycleLR", ONE_CYCLE | {"cycle_momentum": False, "pct_start": 0.0}],
    ["OneCycleLR", ONE_CYCLE | {"max_lr": 1.0, "div_factor": 10.0, "final_div_factor": 100.0}],
    ["OneCycleLR", ONE_CYCLE | {"base_momentum": [0.7, 0.8], "max_momentum": 0.99}],
    ["ReduceLROnPlateau", {"mode": "min", "factor": 0.5, "patience": 3}],
    ["ReduceLROnPlateau", {"mode": "max", "factor": 0.1, "patience": 10, "cooldown": 5}],
    [
        "ReduceLROnPlateau",
        {
            "mode": "min", "factor": 0.3, "patience": 0, "cooldown": 2, "threshold": 0.25,
            "threshold_mode": "abs", "min_lr": [1e-3, 1e-4], "eps": 1e-5,
        },
    ],
    ["ReduceLROnPlateau", {"mode": "max", "factor": 0.9, "patience": 1, "threshold": 0.1,
                           "threshold_mode": "abs"}],
    ["LambdaLR", {"lr_lambda": "1 / (1 + step)"}],
    ["LambdaLR", {"lr_lambda": "[0.99 ** step, cos(step / 10)]"}],
    ["SequentialLR", {
        "schedulers": [["LinearLR", {"start_factor": 0.1, "end_factor": 1.0, "total_iters": 20}],
                       ["CosineAnnealingLR", {"T_max": 180, "eta_min": 1e-6}]],
        "milestones": [20]}],
    ["SequentialLR", {
        "schedulers": [["ConstantLR", {"factor": 0.1, "total_iters": 15}],
                       ["ExponentialLR", {"gamma": 0.9}],
                       ["CosineAnnealingWarmRestarts", {"T_0": 8, "T_mult": 2, "eta_min": 0.0}],
                       ["StepLR", {"step_size": 5, "gamma": 0.5}]],
        "milestones": [10, 60, 140]}],
    ["SequentialLR", {
        "schedulers": [["PolynomialLR", {"total_iters": 30, "power": 1.5}],
                       ["MultiStepLR", {"milestones": [5, 50], "gamma": 0.2}],
                       ["LambdaLR", {"lr_lambda": "1 / (1 + step)"}],
                       ["LinearLR", {"start_factor": 0.2, "end_factor": 0.9, "total_iters": 9}]],
        "milestones": [30, 100, 170]}],
    ["ChainedScheduler", {
        "schedulers": [["ConstantLR", {"factor": 0.1, "total_iters": 20}],
                       ["ExponentialLR", {"gamma": 0.9}]]}],
    ["ChainedScheduler", {
        "schedulers": [["LinearLR", {"start_factor": 0.5, "end_factor": 1.0, "total_iters": 10}],
                       ["StepLR", {"step_size": 40, "gamma": 0.3}],
                       ["MultiStepLR", {"milestones": [25, 125], "gamma": 0.7}]]}],
    ["ChainedScheduler", {
        "schedulers": [["CosineAnnealingLR", {"T_max": 60, "eta_min": 0.0}],
                       ["PolynomialLR", {"total_iters": 150, "power": 1.0}]]}],
]


def build(name, arguments, optimizer):
    arguments = dict(arguments)
    if "schedulers" in arguments:
        arguments["schedulers"] = [build(*case, optimizer) for case in arguments["schedulers"]]
    if "lr_lambda" in arguments:
        source = arguments["lr_lambda"]
        if source.startswith("["):
            parts = source[1:-1].split(", ")
        else:
            parts = [source] * len(RATES)
        arguments["lr_lambda"] = [
            eval(f"lambda step: {part}", {"cos": math.cos}) for part in parts
        ]
    if name == "ChainedScheduler":
        return schedulers.ChainedScheduler(**arguments)
    return getattr(schedulers, name)(optimizer, **arguments)


def compact(values):
    return [[value, len(list(run))] for value, run in groupby(values)]


def trace(name, arguments, adam):
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in RATES]
    optimizer = torch.optim.Adam(groups) if adam else torch.optim.SGD(groups, momentum=0.9)
    scheduler = build(name, arguments, optimizer)
    rates, momenta = [[] for _ in RATES], [[] for _ in RATES]
    for step in range(STEPS + 1):
        for index, group in enumerate(optimizer.param_groups):
            rates[index].append(group["lr"])
            momenta[index].append(group["betas"][0] if adam else group["momentum"])
        optimizer.step()
        if step == STEPS:
            break
        if name == "ReduceLROnPlateau":
            scheduler.step(metric(step))
        else:
            scheduler.step()
    return {
        "scheduler": name, "arguments": arguments, "adam": adam,
        "rates": list(map(compact, rates)), "momenta": list(map(compact, momenta)),
    }


def main():
    cases = [trace(*case, adam) for case in CASES for adam in
             ([False, True] if case == ["OneCycleLR", ONE_CYCLE] else [False])]
    text = ",\n".join(json.dumps(case) for case in cases)
    text = '{"torch": %s, "steps": %d, "base": %s, "metrics": %s, "cases": [\n%s\n]}\n' % (
        json.dumps(torch.__version__), STEPS, RATES, json.dumps([metric(s) for s in range(STEPS)]),
        text)
    pathlib.Path(__file__).with_suffix(".json").write_text(text)


if __name__ == "__main__":
    main()
