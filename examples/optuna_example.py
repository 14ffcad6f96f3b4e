"""An objective of Optuna, with nothing of explr in it.

python examples/optuna_example.py                      Optuna searches, in one process
explr tune configs/optuna.yaml                         explr does, a process for each trial
"""

import digits_data
import optuna
from sklearn.linear_model import SGDClassifier


def objective(trial):
    alpha = trial.suggest_float("alpha", 1e-6, 1e-1, log=True)
    loss = trial.suggest_categorical("loss", ["hinge", "log_loss", "modified_huber"])
    classifier = SGDClassifier(loss=loss, alpha=alpha, random_state=0)
    train, validation, _ = digits_data.load()
    pictures = validation.pictures.reshape(-1, 64)
    for step in range(20):
        classifier.partial_fit(train.pictures.reshape(-1, 64), train.digits, range(10))
        accuracy = classifier.score(pictures, validation.digits)
        trial.report(accuracy, step)
        if trial.should_prune():
            raise optuna.TrialPruned()
    trial.set_user_attr("nonzero", int((classifier.coef_ != 0).sum()))
    return accuracy


if __name__ == "__main__":
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner())
    study.optimize(objective, n_trials=20)
    print(study.best_trial)
