"""Objectives of Optuna."""

import optuna


def everything(trial):
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    layers = trial.suggest_int("layers", 1, 9, step=2)
    optimizer = trial.suggest_categorical("optimizer", ["sgd", "adam"])
    old = [
        trial.suggest_uniform("u", 0, 1),
        trial.suggest_loguniform("l", 0.1, 1),
        trial.suggest_discrete_uniform("d", 0, 1, 0.25),
    ]
    assert trial.params == {
        "lr": lr,
        "layers": layers,
        "optimizer": optimizer,
        "u": 0.5,
        "l": 0.5,
        "d": 0.25,
    }, (trial.params, old)
    assert trial.distributions["d"] == optuna.distributions.FloatDistribution(0, 1, step=0.25)
    assert trial.distributions["layers"] == optuna.distributions.IntDistribution(1, 9, step=2)
    trial.set_user_attr("note", "a text")
    trial.set_user_attr("shape", [1, 2])
    assert trial.user_attrs == {"note": "a text", "shape": [1, 2]}
    assert trial.number == 4
    for step in range(3):
        trial.report(1 / (step + 1), step)
        if trial.should_prune():
            raise optuna.TrialPruned()
    return 0.125


def two(trial):
    return 1.5, 2.5


class Objective:
    def __call__(self, trial):
        return trial.suggest_float("x", 0, 10)


of_a_class = Objective()


def forgets(trial):
    """Returns nothing."""
    trial.report(1.0, 0)


def has_a_study_of_its_own(trial):
    study = optuna.create_study()
    study.optimize(lambda inner: inner.suggest_float("y", 0, 1), n_trials=3)
    return len(study.trials)
