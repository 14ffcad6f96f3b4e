"""What the tests want of the real Optuna. Prints JSON.

    helper.py dump JOURNAL STUDY             every field of every trial
    helper.py create JOURNAL STUDY           a study with trials of all kinds
    helper.py work JOURNAL STUDY TRIALS      runs trials, prints their numbers
    helper.py ask JOURNAL STUDY              takes a trial, prints its parameters
    helper.py enqueue JOURNAL STUDY PARAMS   adds a trial to be run
"""

import json
import math
import sys
import warnings
from datetime import timezone

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")


def number(value):
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def time(value):
    return value and value.astimezone(timezone.utc).isoformat(timespec="microseconds")


def dump(study):
    return {
        "name": study.study_name,
        "directions": [direction.name.lower() for direction in study.directions],
        "user_attrs": study.user_attrs,
        "trials": [
            {
                "number": trial.number,
                "id": trial._trial_id,
                "state": {"FAIL": "failed"}.get(trial.state.name, trial.state.name.lower()),
                "values": [number(value) for value in trial.values or []],
                "params": trial.params,
                "distributions": {
                    name: json.loads(distribution_to_json(distribution))
                    for name, distribution in trial.distributions.items()
                },
                "intermediate": [
                    [step, number(value)]
                    for step, value in sorted(trial.intermediate_values.items())
                ],
                "user_attrs": trial.user_attrs,
                "system_attrs": trial.system_attrs,
                "started": time(trial.datetime_start),
                "finished": time(trial.datetime_complete),
            }
            for trial in study.get_trials(deepcopy=False)
        ],
    }


def create(storage, name):
    other = optuna.create_study(storage=storage, study_name="another")
    other.optimize(lambda trial: trial.suggest_float("y", 0, 1), n_trials=2)
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    study.set_user_attr("who", "Zoë \"Z\"\n")

    def suggest(trial):
        trial.suggest_float("float", -1, 1)
        trial.suggest_float("log", 1e-5, 1e-1, log=True)
        trial.suggest_float("step", 0, 0.9, step=0.1)
        trial.suggest_int("int", 1, 9, step=2)
        trial.suggest_int("logint", 1, 1024, log=True)
        trial.suggest_categorical("choice", ["a", None, True, 3, 1.5])

    complete = study.ask()
    suggest(complete)
    complete.set_user_attr("note", {"list": [1, 2.5, None]})
    storage.set_trial_system_attr(complete._trial_id, "system", [1])
    study.tell(complete, float("inf"))
    pruned = study.ask()
    suggest(pruned)
    for step, value in [(0, 1.0), (3, float("nan")), (7, -2)]:
        pruned.report(value, step)
    study.tell(pruned, state=TrialState.PRUNED)
    study.tell(study.ask(), state=TrialState.FAIL)
    study.enqueue_trial({"float": 0.5, "choice": None})
    study.add_trial(
        optuna.create_trial(
            value=1, params={"float": 0.25}, distributions={"float": complete.distributions["float"]}
        )
    )
    study.ask()
    other.optimize(lambda trial: trial.suggest_float("y", 0, 1), n_trials=1)
    optuna.delete_study(storage=storage, study_name="another")
    return study


def work(study, trials):
    numbers = []
    for _ in range(trials):
        trial = study.ask()
        x = trial.suggest_float("x", -10, 10)
        trial.report(x, 1)
        study.tell(trial, x * x)
        numbers.append(trial.number)
    return numbers


command, journal, name, *arguments = sys.argv[1:]
storage = JournalStorage(JournalFileBackend(journal))
if command == "create":
    result = dump(create(storage, name))
else:
    # Random: what is tested is the storage.
    study = optuna.load_study(
        storage=storage, study_name=name, sampler=optuna.samplers.RandomSampler()
    )
    if command == "dump":
        result = dump(study)
    elif command == "work":
        result = work(study, int(arguments[0]))
    elif command == "ask":
        trial = study.ask()
        result = {"number": trial.number, "params": trial.params}
    elif command == "enqueue":
        study.enqueue_trial(json.loads(arguments[0]))
        result = None
    else:
        sys.exit(f"there is no command {command}")
print(json.dumps(result))
