"""Ask and tell, the same for explr and Optuna."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
ASK_TELL = pathlib.Path(os.environ.get("ASK_TELL", ROOT / "target/release/examples/ask_tell"))


class Explr:
    """A study in a process of its own, which speaks JSON lines (`crates/explr-study/examples`)."""

    def __init__(self, space, seed, sampler, halving=None):
        self.process = subprocess.Popen([ASK_TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.call({"sampler": sampler, "seed": seed, "space": space, "halving": halving})

    def call(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def ask(self):
        asked = self.call({"ask": None})
        return asked["number"], asked["params"]

    def tell(self, number, value):
        self.call({"tell": {"number": number, "value": value}})

    def report(self, number, step, value):
        return self.call({"report": {"number": number, "step": step, "value": value}})["prune"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Optuna:
    """A study of Optuna in memory."""

    def __init__(self, space, seed, sampler, halving=None):
        import optuna
        from optuna.pruners import NopPruner, SuccessiveHalvingPruner

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        kinds = {
            "default": lambda: optuna.samplers.TPESampler(seed=seed),
            "multivariate": lambda: optuna.samplers.TPESampler(multivariate=True, group=True, seed=seed),
            "random": lambda: optuna.samplers.RandomSampler(seed=seed),
            "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        }
        self.space = space
        pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=halving) if halving else NopPruner()
        self.study = optuna.create_study(sampler=kinds[sampler](), pruner=pruner)
        self.trials = {}

    def ask(self):
        trial = self.study.ask()
        self.trials[trial.number] = trial
        params = {}
        for p in self.space:
            if p["when"] and params.get(p["when"][0]) not in p["when"][1]:
                continue
            if p["type"] == "float":
                params[p["name"]] = trial.suggest_float(p["name"], p["low"], p["high"], log=p["log"], step=p["step"])
            elif p["type"] == "int":
                params[p["name"]] = trial.suggest_int(p["name"], p["low"], p["high"], log=p["log"], step=p["step"])
            else:
                params[p["name"]] = trial.suggest_categorical(p["name"], p["choices"])
        return trial.number, params

    def tell(self, number, value):
        from optuna.trial import TrialState

        trial = self.trials.pop(number)
        self.study.tell(trial, value, state=TrialState.PRUNED if value is None else None)

    def report(self, number, step, value):
        self.trials[number].report(value, step)
        return self.trials[number].should_prune()

    def close(self):
        pass


def open_study(name, space, seed, halving=None):
    """`explr`, `explr:gp`, `optuna:default` and the like; with `halving`, ASHA by that factor."""
    program, _, sampler = name.partition(":")
    if program == "explr":
        return Explr(space, seed, sampler or "tpe", halving)
    return Optuna(space, seed, sampler or "default", halving)
