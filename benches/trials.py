#!/usr/bin/env python3
"""Trials a second that do next to nothing, each in a process of its own: what isolation costs.

    cargo build --release -p explr
    cargo build --release --manifest-path benches/trivial/Cargo.toml
    .venv/bin/python benches/trials.py

One small step with libtorch a trial, two at a time, the study on disk. Beside it the same with fresh
processes, Optuna with the same step in PyTorch, in one process, with its own journal, and Ray Tune, if
`pip install "ray[tune]"` was run: its actors are processes, two at a time. The slow ones get fewer trials.
"""

import argparse
import importlib.util
import pathlib
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
RELEASE = ROOT / "target/release"


def explr(folder, trials, start):
    config = folder / f"{start}.yaml"
    config.write_text(
        f"experiment: {start}\n"
        f"train: {{plugin: {RELEASE / 'libtrivial.so'}, function: one_step}}\n"
        "search_space: {lr: {type: float, low: 1e-3, high: 1.0, log: true}}\n"
        f"tune: {{n_trials: {trials}, jobs: 2}}\nworker: {{start: {start}}}\n"
        "mlflow: off\ndevice: cpu\n"
    )
    command = [RELEASE / "explr", "tune", config, "--quiet"]
    begun = time.perf_counter()
    subprocess.run(command, check=True, env={"LIBTORCH": str(ROOT / ".libtorch"), "PATH": "/usr/bin:/bin"})
    return trials / (time.perf_counter() - begun)


def step(lr):
    import torch

    x = torch.ones(8, requires_grad=True)
    (x**2).sum().backward()
    return float(((x.detach() - lr * x.grad) ** 2).sum())


def optuna(folder, trials):
    import optuna
    import torch
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    step(0.1)
    study = optuna.create_study(storage=JournalStorage(JournalFileBackend(str(folder / "optuna.journal"))))
    begun = time.perf_counter()
    study.optimize(lambda trial: step(trial.suggest_float("lr", 1e-3, 1.0, log=True)), n_trials=trials)
    return trials / (time.perf_counter() - begun)


def ray(folder, trials):
    import ray
    from ray import tune

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)

    def objective(config):
        return {"loss": step(config["lr"])}

    tuner = tune.Tuner(
        objective,
        param_space={"lr": tune.loguniform(1e-3, 1.0)},
        tune_config=tune.TuneConfig(num_samples=trials, max_concurrent_trials=2),
        run_config=tune.RunConfig(storage_path=str(folder / "ray"), verbose=0),
    )
    begun = time.perf_counter()
    results = tuner.fit()
    elapsed = time.perf_counter() - begun
    ray.shutdown()
    complete = sum("loss" in (result.metrics or {}) for result in results)
    if complete != trials:
        raise SystemExit(f"Ray Tune: {complete} of {trials} trials ended with a loss")
    return trials / elapsed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rows = [
            ("explr, forked", explr(folder, trials, "fork")),
            ("explr, fresh processes", explr(folder, max(trials // 20, 2), "fresh")),
            ("Optuna, one process", optuna(folder, trials)),
        ]
        if importlib.util.find_spec("ray"):
            rows.append(("Ray Tune", ray(folder, max(trials // 10, 2))))
        else:
            print("Ray Tune is not installed: left out")
    print("| | trials/s | of explr's |\n| --- | --- | --- |")
    for what, rate in rows:
        print(f"| {what} | {rate:.1f} | {rate / rows[0][1]:.2f} |")


if __name__ == "__main__":
    main()
