#!/usr/bin/env python3
"""Trials of a Python function that imports torch: what forking them saves.

    cargo build --release -p explr
    .venv/bin/python benches/python_trials.py

One small step of PyTorch a trial, one at a time, the study on disk; the time is that of the whole command.
Beside it Optuna with the same step in one process, with its own journal, its import of torch included.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]

FUNCTION = """
import torch

torch.set_num_threads(1)


def step(lr):
    x = torch.ones(8, requires_grad=True)
    (x**2).sum().backward()
    return float(((x.detach() - lr * x.grad) ** 2).sum())


def train_model(ctx):
    return step(ctx.hyperparameters["lr"])
"""

OPTUNA = """
import sys
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from trivial import step

optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(storage=JournalStorage(JournalFileBackend("optuna.journal")))
study.optimize(lambda trial: step(trial.suggest_float("lr", 1e-3, 1.0, log=True)), n_trials=int(sys.argv[1]))
"""


def timed(command, folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXPLR_")}
    begun = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, env=environment)
    return time.perf_counter() - begun


def explr(folder, trials, start):
    config = folder / f"{start}.yaml"
    config.write_text(
        f"experiment: {start}\n"
        f"train: {{function: trivial:train_model, python: {sys.executable}}}\n"
        "search_space: {lr: {type: float, low: 1e-3, high: 1.0, log: true}}\n"
        f"tune: {{n_trials: {trials}}}\nworker: {{start: {start}}}\n"
        "mlflow: off\ndevice: cpu\n"
    )
    return timed([ROOT / "target/release/explr", "tune", config, "--quiet"], folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "trivial.py").write_text(FUNCTION)
        # What is compiled once, and the disk's cache, cost none of them anything.
        subprocess.run([sys.executable, "-c", "import torch, optuna, trivial"], check=True, cwd=folder)
        rows = [
            ("explr, forked", explr(folder, trials, "fork")),
            ("explr, fresh processes", explr(folder, trials, "fresh")),
            ("Optuna, one process", timed([sys.executable, "-c", OPTUNA, str(trials)], folder)),
        ]
    print(f"| {trials} trials | seconds | of the fresh ones' |\n| --- | --- | --- |")
    for what, seconds in rows:
        print(f"| {what} | {seconds:.2f} | {seconds / rows[1][1]:.2f} |")


if __name__ == "__main__":
    main()
