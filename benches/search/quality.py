#!/usr/bin/env python3
"""How good the best of so many trials is: explr's samplers beside Optuna's, on the same objectives.

    cargo build --release -p explr-study --example ask_tell
    python benches/search/quality.py --out target/quality.json

Needs optuna, numpy and scikit-learn. Prints a table; `--reuse` takes what an earlier run found.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import math
import multiprocessing
import pathlib

import further
import numpy as np
import objectives
from samplers import open_study

OBJECTIVES = objectives.OBJECTIVES | further.OBJECTIVES


def make(name, seed):
    """The objective of this name for a seed."""
    return OBJECTIVES[name](np.random.default_rng([seed, *name.encode()]))


def run(job):
    """One study; the value (where noisy: the true one) of the trial that looked best."""
    sampler, name, seed, trials = job
    objective = make(name, seed)
    study = open_study(sampler, objective.space, seed)
    best = (math.inf, math.inf)
    cache = {}
    for _ in range(trials):
        number, params = study.ask()
        key = json.dumps(params, sort_keys=True)
        if key not in cache or "noisy" in name:
            cache[key] = objective(params)
        best = min(best, cache[key])
        study.tell(number, cache[key][0])
    study.close()
    return job, best[1]


def ranks(values):
    """Ranks from 1; equal values share the mean."""
    values = np.asarray(values)
    return [(np.sum(values < value) + 1 + np.sum(values <= value)) / 2 for value in values]


def report(found, samplers, names, seeds):
    """A Markdown table: medians, wins of the first sampler, mean ranks."""
    rows = [["objective", *samplers], ["---"] * (len(samplers) + 1)]
    median = {
        (name, sampler): float(np.median([found[sampler, name, seed] for seed in range(seeds)]))
        for name in names
        for sampler in samplers
    }
    rank = {
        (name, sampler): value
        for name in names
        for sampler, value in zip(
            samplers,
            np.mean([ranks([found[s, name, seed] for s in samplers]) for seed in range(seeds)], axis=0),
        )
    }
    for name in names:
        least = min(median[name, sampler] for sampler in samplers)
        row = [name]
        for sampler in samplers:
            value = f"{median[name, sampler]:.4g}"
            value = f"**{value}**" if median[name, sampler] <= least else value
            row.append(f"{value} ({rank[name, sampler]:.2f})")
        rows.append(row)
    mean = [np.mean([rank[name, sampler] for name in names]) for sampler in samplers]
    rows.append(["mean rank", *(f"{value:.2f}" for value in mean)])
    first = samplers[0]
    wins = [sum(median[name, first] <= median[name, other] for name in names) for other in samplers]
    rows.append([f"`{first}` at least as good", *(f"{count} of {len(names)}" for count in wins)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--objectives", help="parts of names, separated by commas; default: all")
    parser.add_argument("--samplers", default="explr:tpe,optuna:default,optuna:multivariate")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path, help="writes every best value as JSON")
    parser.add_argument("--reuse", type=pathlib.Path, action="append", default=[], help="JSON of an earlier run")
    args = parser.parse_args()
    samplers = args.samplers.split(",")
    parts = args.objectives.split(",") if args.objectives else [""]
    names = [name for name in OBJECTIVES if any(part in name for part in parts)]
    found = {}
    for path in args.reuse:
        for sampler, name, seed, trials, value in json.loads(path.read_text()):
            if trials == args.trials:
                found[sampler, name, seed] = value
    jobs = [
        (sampler, name, seed, args.trials)
        for name in names
        for sampler in samplers
        for seed in range(args.seeds)
        if (sampler, name, seed) not in found
    ]
    with multiprocessing.Pool(args.jobs) as pool:
        for (sampler, name, seed, _), value in pool.imap_unordered(run, jobs):
            found[sampler, name, seed] = value
    if args.out:
        rows = [[*key, args.trials, value] for key, value in sorted(found.items())]
        args.out.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    print(f"{args.trials} trials, {args.seeds} seeds: median of best values (mean rank)\n")
    print(report(found, samplers, names, args.seeds))


if __name__ == "__main__":
    main()
