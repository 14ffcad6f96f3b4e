"""A script as in Optuna's documentation: it searches as soon as it is run."""

import optuna


def objective(trial):
    x = trial.suggest_float("x", -10, 10)
    return (x - 2) ** 2


study = optuna.create_study(study_name="a", storage="sqlite:///no/such/folder/a.db")
study.optimize(objective, n_trials=100)

print(study.best_params)
raise RuntimeError("nobody wants to come here")
