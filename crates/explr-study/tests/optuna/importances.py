"""Records Optuna's fANOVA importances, for tests/importances.rs.

Run with Optuna 5 and scikit-learn installed:

    python tests/optuna/importances.py > tests/optuna/importances.json

Optuna cuts logarithmic parameters in plain scale and has a column for each
category, so neither are here. The shares are means over seeds of its forest.
"""

import json
import math
import random

import optuna
from optuna.distributions import FloatDistribution
from optuna.importance import FanovaImportanceEvaluator

FLOAT = FloatDistribution(-5, 5)
STUDIES = {
    "weighted sum": (
        {"a": FLOAT, "b": FLOAT, "c": FLOAT},
        lambda p: 3 * p["a"] + 2 * p["b"] + 0.2 * p["c"],
    ),
    "product": (
        {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1), "z": FloatDistribution(0, 1)},
        lambda p: p["x"] * (1 + p["y"]) + 0.1 * p["z"],
    ),
    "branin": (
        {"x": FloatDistribution(-5, 10), "y": FloatDistribution(0, 15)},
        lambda p: (
            (p["y"] - 5.1 / (4 * math.pi**2) * p["x"] ** 2 + 5 / math.pi * p["x"] - 6) ** 2
            + 10 * (1 - 1 / (8 * math.pi)) * math.cos(p["x"])
            + 10
        ),
    ),
}


def record(name, space, objective, seed):
    rng = random.Random(seed)
    study = optuna.create_study()
    trials = []
    for _ in range(200):
        params = {
            key: round(rng.uniform(distribution.low, distribution.high), 4)
            for key, distribution in space.items()
        }
        value = round(objective(params), 6)
        trials.append([params, value])
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=space, value=value)
        )
    seeds = range(5)
    shares = dict.fromkeys(space, 0.0)
    for forest in seeds:
        evaluator = FanovaImportanceEvaluator(seed=forest)
        for key, share in optuna.importance.get_param_importances(
            study, evaluator=evaluator
        ).items():
            shares[key] += share / len(seeds)
    return {"name": name, "shares": shares, "trials": trials}


def main():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    studies = [record(name, *study, seed) for seed, (name, study) in enumerate(STUDIES.items())]
    print("[")
    print(",\n".join(json.dumps(study, separators=(",", ":")) for study in studies))
    print("]")


main()
