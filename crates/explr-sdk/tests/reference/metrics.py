"""Makes metrics.json: inputs, and what scikit-learn 1.9 and NumPy say of them.

    python crates/explr-sdk/tests/reference/metrics.py

The figures are in the repository, so that the tests need no Python. Each case
has a task, its predictions and targets, and values by name; `null` is a value
that is not a number. No scores are tied where scikit-learn's order of ties is
its own (top-k).
"""

import json
import math
import warnings
from pathlib import Path

import numpy as np
from sklearn import metrics as sk

warnings.simplefilter("ignore")
rng = np.random.default_rng(20261125)
AVERAGES = ["micro", "macro", "weighted", "per_class"]


def clean(value):
    """A value as JSON: lists of numbers, and None for what is none."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [clean(v) for v in value]
    value = float(value)
    return None if math.isnan(value) else value


def ratios(target, predicted, labels, averages, **options):
    values = {}
    for average in averages:
        name = None if average == "per_class" else average
        for key, function in [
            ("precision", sk.precision_score),
            ("recall", sk.recall_score),
            ("f1", sk.f1_score),
        ]:
            # A macro average is over the labels that occur, a list for each
            # class has them all.
            given = labels if average == "per_class" else options.get("labels")
            values[f"{key}_{average}"] = function(
                target, predicted, average=name, labels=given, zero_division=0
            )
    return values


def areas(target, score, averages, **options):
    """AUROC and average precision of one column a class."""
    values = {}
    for average in averages:
        name = None if average == "per_class" else average
        values[f"auroc_{average}"] = sk.roc_auc_score(target, score, average=name)
        values[f"ap_{average}"] = sk.average_precision_score(target, score, average=name)
    return values


def binned(score, bins):
    return np.floor(score.astype(np.float64) * bins).clip(0, bins - 1)


def case(name, task, score, target, values, **more):
    return {
        "name": name,
        **task,
        **more,
        "shape": list(score.shape),
        "score": clean(score.ravel()),
        "target_shape": list(target.shape),
        "target": [int(t) for t in target.ravel()],
        "values": {key: clean(value) for key, value in values.items()},
    }


def binary(name, score, target, ignore=None):
    score = score.astype(np.float32)
    kept = np.ones_like(target, bool) if ignore is None else target != ignore
    s, t = score[kept], target[kept]
    p = (s > 0.5).astype(int)
    values = {
        "accuracy": sk.accuracy_score(t, p),
        "confusion": sk.confusion_matrix(t, p, labels=[0, 1]).ravel(),
        "precision_macro": sk.precision_score(t, p, zero_division=0),
        "recall_macro": sk.recall_score(t, p, zero_division=0),
        "f1_macro": sk.f1_score(t, p, zero_division=0),
        "auroc_macro": sk.roc_auc_score(t, s),
        "ap_macro": sk.average_precision_score(t, s),
        "auroc_binned": sk.roc_auc_score(t, binned(s, 16)),
        "ap_binned": sk.average_precision_score(t, binned(s, 16)),
    }
    return case(name, {"task": "binary", "classes": 1}, score, target, values, ignore=ignore)


def multi_class(name, score, target, ignore=None, areas_too=True):
    score = score.astype(np.float32)
    classes = score.shape[1]
    kept = np.ones_like(target, bool) if ignore is None else target != ignore
    # One row a target, whatever dimensions come after the classes.
    s, t = np.moveaxis(score, 1, -1)[kept], target[kept]
    p, labels = s.argmax(1), list(range(classes))
    values = {
        "accuracy": sk.accuracy_score(t, p),
        "confusion": sk.confusion_matrix(t, p, labels=labels).ravel(),
        **ratios(t, p, labels, AVERAGES),
    }
    for k in (2, 3):
        values[f"top{k}"] = sk.top_k_accuracy_score(t, s, k=k, labels=labels)
    if areas_too:
        one_hot = np.eye(classes, dtype=int)[t]
        values |= areas(one_hot, s, AVERAGES)
        columns = binned(s, 16)
        values["auroc_binned"] = sk.roc_auc_score(one_hot, columns)
        values["ap_binned"] = sk.average_precision_score(one_hot, columns)
    return case(
        name, {"task": "multi_class", "classes": classes}, score, target, values, ignore=ignore
    )


def multi_label(name, score, target):
    score = score.astype(np.float32)
    p = (score > 0.5).astype(int)
    values = {
        "accuracy": 1 - sk.hamming_loss(target, p),
        "exact": sk.accuracy_score(target, p),
        "confusion": sk.multilabel_confusion_matrix(target, p).ravel(),
        **ratios(target, p, None, AVERAGES),
        **areas(target, score, AVERAGES),
        "auroc_binned": sk.roc_auc_score(target, binned(score, 16)),
        "ap_binned": sk.average_precision_score(target, binned(score, 16)),
    }
    return case(name, {"task": "multi_label", "classes": score.shape[1]}, score, target, values)


def regression(name, prediction, target):
    values = {
        "mse": sk.mean_squared_error(target, prediction),
        "rmse": sk.root_mean_squared_error(target, prediction),
        "mae": sk.mean_absolute_error(target, prediction),
        "r2": sk.r2_score(target, prediction),
    }
    return {
        "name": name,
        "prediction": clean(prediction),
        "target": clean(target),
        "values": {key: clean(value) for key, value in values.items()},
    }


def perplexity(name, logits, target, ignore=None):
    kept = np.ones_like(target, bool) if ignore is None else target != ignore
    row, t = logits.reshape(-1, logits.shape[-1])[kept.ravel()], target.ravel()[kept.ravel()]
    loss = np.log(np.exp(row).sum(1)) - row[np.arange(len(t)), t]
    return {
        "name": name,
        "shape": list(logits.shape),
        "logits": clean(logits.ravel()),
        "target": [int(v) for v in target.ravel()],
        "ignore": ignore,
        "value": float(np.exp(loss.mean())),
    }


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def tied(score, steps=5):
    return np.round(score * steps) / steps


b_score, b_target = rng.random(60), rng.integers(0, 2, 60)
m_score, m_target = softmax(rng.normal(size=(60, 4))), rng.integers(0, 4, 60)
m_ignore = m_target.copy()
m_ignore[rng.random(60) < 0.3] = -100
b_ignore = b_target.copy()
b_ignore[::4] = -1
l_score, l_target = rng.random((40, 3)), rng.integers(0, 2, (40, 3))
l_empty = l_target.copy()
l_empty[:, 1] = 0
deep = softmax(rng.normal(size=(6, 3, 5, 2)))
r_target = rng.normal(size=50)
large = 1e9 + rng.normal(size=50)

reference = {
    "classification": [
        binary("binary", b_score, b_target),
        binary("binary with ties", tied(b_score), b_target),
        binary("binary, all scores the same", np.full(20, 0.25), b_target[:20]),
        binary("binary, positive only", b_score, np.ones(60, int)),
        binary("binary, negative only", b_score, np.zeros(60, int)),
        binary("binary, one example", np.array([0.75]), np.array([1])),
        binary("binary with ignored", b_score, b_ignore, ignore=-1),
        multi_class("multi-class", m_score, m_target),
        multi_class("multi-class with ignored", m_score, m_ignore, ignore=-100),
        # Neither target nor, as its score is lowest, predicted.
        multi_class(
            "multi-class, a class does not occur",
            np.concatenate([m_score, np.zeros((60, 1))], 1),
            m_target,
        ),
        multi_class("multi-class, one target only", m_score, np.full(60, 2)),
        multi_class("multi-class in more dimensions", deep, rng.integers(0, 3, (6, 5, 2))),
        multi_label("multi-label", l_score, l_target),
        multi_label("multi-label with ties", tied(l_score), l_target),
        multi_label("multi-label, a label does not occur", l_score, l_empty),
    ],
    "regression": [
        regression("regression", r_target + rng.normal(size=50) / 3, r_target),
        regression("worse than the mean", rng.normal(size=50) * 3, r_target),
        regression("large values", large + rng.normal(size=50) / 3, large),
        regression("constant, predicted", np.full(8, 2.5), np.full(8, 2.5)),
        regression("constant, missed", rng.normal(size=8), np.full(8, 2.5)),
        regression("one example", np.array([1.0]), np.array([2.0])),
    ],
    "perplexity": [
        perplexity("perplexity", rng.normal(size=(4, 6, 7)), rng.integers(0, 7, (4, 6))),
        perplexity(
            "perplexity with ignored",
            rng.normal(size=(2, 5, 7)),
            np.where(rng.random((2, 5)) < 0.4, -100, rng.integers(0, 7, (2, 5))),
            ignore=-100,
        ),
    ],
}
path = Path(__file__).with_suffix(".json")
path.write_text(json.dumps(reference, indent=None, separators=(",", ":")) + "\n")
