"""Records what Optuna's pruners decide, for tests/pruners.rs.

Run with Optuna 5 and SciPy installed:

    python tests/optuna/pruners.py > tests/optuna/pruners.json

Each study is a list of events of three interleaved workers: `[]` asks for a
trial, `[trial, step, value, decision]` reports and ends it if the decision is 1,
`[trial, value]` completes it. Some reports are
NaN (written as null). `auto` resources are left out: Optuna remembers what it
estimated and whom it judged before, and explr derives both from the reports.
"""

import json
import math
import random
import warnings

import optuna
from optuna import pruners
from optuna.trial import TrialState

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)

TRIALS = 30
STEPS = 30
PRUNERS = {
    "median": lambda: pruners.MedianPruner(),
    "median, all options": lambda: pruners.MedianPruner(3, 4, 3, n_min_trials=2),
    "percentile 25": lambda: pruners.PercentilePruner(25.0),
    "percentile 80": lambda: pruners.PercentilePruner(80.0, 2, 5, 2),
    "successive halving": lambda: pruners.SuccessiveHalvingPruner(min_resource=1),
    "successive halving, all options": lambda: pruners.SuccessiveHalvingPruner(2, 3, 1),
    "hyperband": lambda: pruners.HyperbandPruner(1, STEPS, 3),
    "hyperband, all options": lambda: pruners.HyperbandPruner(2, STEPS, 2),
    "threshold": lambda: pruners.ThresholdPruner(lower=0.1, upper=1.5),
    "threshold, all options": lambda: pruners.ThresholdPruner(
        upper=1.2, n_warmup_steps=3, interval_steps=4
    ),
    "patient": lambda: pruners.PatientPruner(None, patience=3, min_delta=0.01),
    "patient median": lambda: pruners.PatientPruner(pruners.MedianPruner(2), patience=1),
    "wilcoxon": lambda: pruners.WilcoxonPruner(),
    "wilcoxon, all options": lambda: pruners.WilcoxonPruner(p_threshold=0.3, n_startup_steps=6),
}


def record(name, pruner, direction, seed):
    rng = random.Random(seed)
    study = optuna.create_study(study_name=name, direction=direction, pruner=pruner)
    events = []
    running = []
    asked = 0
    # Thresholds know no direction.
    sign = 1 if direction == "minimize" or "threshold" in name else -1
    nan_share = 0.0 if "wilcoxon" in name else 0.01
    while asked < TRIALS or running:
        if asked < TRIALS and len(running) < 3:
            level, speed = rng.random(), rng.uniform(0.05, 0.3)
            running.append([study.ask(), level, speed, 0])
            events.append([])
            asked += 1
            continue
        worker = rng.randrange(len(running))
        trial, level, speed, step = running[worker]
        value = level + math.exp(-speed * step) + rng.gauss(0, 0.05)
        value = math.nan if rng.random() < nan_share else round(sign * value, 3)
        trial.report(value, step)
        prune = bool(trial.should_prune())
        shown = None if math.isnan(value) else value
        events.append([trial.number, step, shown, int(prune)])
        running[worker][3] += 1
        if prune:
            study.tell(trial, state=TrialState.PRUNED)
            running.pop(worker)
        elif step + 1 == STEPS:
            final = round(sign * level, 3)
            study.tell(trial, final)
            events.append([trial.number, final])
            running.pop(worker)
    return {"name": name, "direction": direction, "events": events}


def main():
    print("[")
    studies = [
        record(name, make(), direction, seed)
        for place, (name, make) in enumerate(PRUNERS.items())
        for seed, direction in enumerate(("minimize", "maximize"), 2 * place)
    ]
    print(",\n".join(json.dumps(study, separators=(",", ":")) for study in studies))
    print("]")


main()
