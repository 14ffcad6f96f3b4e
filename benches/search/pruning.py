#!/usr/bin/env python3
"""How far a budget of epochs goes with asynchronous successive halving: explr beside Optuna.

    cargo build --release -p explr-study --example ask_tell
    python benches/search/pruning.py

Models are trained on real data, epoch by epoch, until the study has used up its epochs; all programs
get the same number. ASHA asks at epochs 1, 3 and 9 of 27. The result of a study is the lowest
validation loss after any epoch: the best checkpoint. `none` is without a pruner.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import math
import multiprocessing
import pathlib

import numpy as np
from objectives import cat, flt, log_loss, mlp, mlp_space, split, whole
from quality import report
from samplers import open_study

EPOCHS = 27
HALVING = 3


def finite(loss):
    return loss if math.isfinite(loss) else 1e3


def mlp_digits(rng):
    a, b, c, d = split("digits", rng, 200, 400)
    space = mlp_space(rng)

    def train(p):
        model = mlp(p)
        while True:
            model.partial_fit(a, b, classes=np.arange(10))
            yield finite(log_loss(model, c, d))

    return space, train


def sgd_cancer(rng):
    from sklearn.linear_model import SGDClassifier

    a, b, c, d = split("breast_cancer", rng, 150, 400)
    shift = 10 ** rng.uniform(-1, 1)
    space = [
        flt("alpha", 1e-6, 1e1, log=True),
        flt("eta", 1e-5 * shift, 1.0 * shift, log=True),
        cat("schedule", ["constant", "invscaling"]),
        flt("power", 0.05, 1.0, when=["schedule", ["invscaling"]]),
        cat("penalty", ["l2", "l1", "elasticnet"]),
        flt("ratio", 0.0, 1.0, when=["penalty", ["elasticnet"]]),
    ]

    def train(p):
        model = SGDClassifier(
            loss="log_loss", alpha=p["alpha"], eta0=p["eta"], learning_rate=p["schedule"], penalty=p["penalty"],
            power_t=p.get("power", 0.5), l1_ratio=p.get("ratio", 0.15), random_state=0,
        )  # fmt: skip
        while True:
            model.partial_fit(a, b, classes=[0, 1])
            yield finite(log_loss(model, c, d))

    return space, train


def boosting_diabetes(rng):
    from sklearn.ensemble import GradientBoostingRegressor

    a, b, c, d = split("diabetes", rng, 120, 300)
    shift = 10 ** rng.uniform(-0.5, 0.5)
    space = [
        flt("rate", 1e-3 * shift, 1.0 * shift, log=True),
        whole("depth", 1, 6),
        whole("leaf", 1, 40, log=True),
        flt("subsample", 0.3, 1.0),
        flt("features", 0.1, 1.0, step=0.1),
    ]

    def train(p):
        model = GradientBoostingRegressor(
            n_estimators=2, learning_rate=p["rate"], max_depth=p["depth"], min_samples_leaf=p["leaf"],
            subsample=p["subsample"], max_features=p["features"], random_state=0, warm_start=True,
        )  # fmt: skip
        while True:
            model.fit(a, b)
            model.n_estimators += 2
            yield float(np.sqrt(np.mean((model.predict(c) - d) ** 2)))

    return space, train


def mlp_diabetes(rng):
    from sklearn.neural_network import MLPRegressor

    a, b, c, d = split("diabetes", rng, 150, 280)
    mean, deviation = b.mean(), b.std()
    shift = 10 ** rng.uniform(-0.7, 0.7)
    space = [
        flt("lr", 1e-4 * shift, 1.0 * shift, log=True),
        flt("alpha", 1e-6, 1e2, log=True),
        whole("layers", 1, 3),
        whole("hidden", 4, 64, log=True),
        whole("batch", 8, 128, step=8),
        cat("solver", ["sgd", "adam"]),
        flt("momentum", 0.0, 0.99, when=["solver", ["sgd"]]),
    ]

    def train(p):
        model = MLPRegressor(
            hidden_layer_sizes=(p["hidden"],) * p["layers"], alpha=p["alpha"], batch_size=p["batch"], solver=p["solver"],
            learning_rate_init=p["lr"], momentum=p.get("momentum", 0.9), random_state=0,
        )  # fmt: skip
        while True:
            try:
                model.partial_fit(a, (b - mean) / deviation)
                guess = model.predict(c)
            except ValueError as error:
                if "non-finite" not in str(error):
                    raise
                guess = np.full(len(d), np.inf)
            yield finite(float(np.sqrt(np.mean((guess - (d - mean) / deviation) ** 2))))

    return space, train


OBJECTIVES = {
    "MLP, digits": mlp_digits,
    "SGD, breast cancer": sgd_cancer,
    "boosting, diabetes": boosting_diabetes,
    "MLP, diabetes": mlp_diabetes,
}


def run(job):
    """One study; its lowest validation loss."""
    sampler, name, seed, epochs = job
    sampler, _, pruner = sampler.partition("+")
    space, train = OBJECTIVES[name](np.random.default_rng([seed, *name.encode()]))
    study = open_study(sampler, space, seed, HALVING if pruner == "asha" else None)
    lowest, left = math.inf, epochs
    while left:
        number, params = study.ask()
        for epoch, loss in zip(range(1, min(EPOCHS, left) + 1), train(params)):
            left -= 1
            lowest = min(lowest, loss)
            pruned = study.report(number, epoch, loss) and epoch < EPOCHS
            if pruned:
                break
        study.tell(number, None if pruned else loss)
    study.close()
    return job, lowest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=600, help="of all trials of a study together")
    parser.add_argument(
        "--samplers", default="explr:tpe+asha,optuna:default+asha,optuna:multivariate+asha,explr:tpe+none,optuna:default+none"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path, help="writes every result as JSON")
    args = parser.parse_args()
    samplers = args.samplers.split(",")
    jobs = [
        (sampler, name, seed, args.epochs) for name in OBJECTIVES for sampler in samplers for seed in range(args.seeds)
    ]
    with multiprocessing.Pool(args.jobs) as pool:
        found = {job[:3]: lowest for job, lowest in pool.imap_unordered(run, jobs)}
    if args.out:
        args.out.write_text(json.dumps([[*key, value] for key, value in sorted(found.items())]))
    print(f"{args.epochs} epochs, {args.seeds} seeds: median of lowest losses (mean rank)\n")
    print(report(found, samplers, list(OBJECTIVES), args.seeds))


if __name__ == "__main__":
    main()
