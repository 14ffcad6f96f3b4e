"""Objective functions that explr and its peers minimise: one definition for all.

An objective is made for a seed, which moves its optimum to a random place, so that no pull to the
centre of the space can win. Synthetic functions are centred anywhere in the middle 90 % of the box,
or laid out with a random offset and mirrored at the edges, which keeps them continuous; models are
trained on a random part of the data, with bounds moved at random.
"""

import math
import warnings
from functools import lru_cache

import numpy as np

warnings.filterwarnings("ignore")


def flt(name, low, high, log=False, step=None, when=None):
    return {"name": name, "type": "float", "low": low, "high": high, "log": log, "step": step, "when": when}


def whole(name, low, high, log=False, step=1, when=None):
    return {"name": name, "type": "int", "low": low, "high": high, "log": log, "step": step, "when": when}


def cat(name, choices, when=None):
    return {"name": name, "type": "categorical", "choices": choices, "when": when}


class Objective:
    """A space, and a function of parameters that gives a value and, where that is noisy, the truth."""

    def __init__(self, space, function):
        self.space = space
        self.function = function

    def __call__(self, params):
        result = self.function(params)
        return result if isinstance(result, tuple) else (result, result)


def box(dimensions, low, high):
    return [flt(f"x{index}", low, high) for index in range(dimensions)]


def vector(params):
    return np.array([params[f"x{index}"] for index in range(len(params))])


def centred(dimensions, low, high, function, optimum=0.0):
    """`function`, which has its optimum at `optimum` everywhere, moved."""

    def make(rng):
        margin = 0.05 * (high - low)
        centre = rng.uniform(low + margin, high - margin, dimensions)
        return Objective(box(dimensions, low, high), lambda p: float(function(vector(p) - centre + optimum)))

    return make


def mirrored(bounds, function):
    """`function` of the unit cube's points, scaled to `bounds`, offset at random."""
    bounds = np.array(bounds, float)

    def make(rng):
        offset = rng.uniform(0, 2, len(bounds))

        def value(params):
            unit = (vector(params) + offset) % 2.0
            unit = np.where(unit > 1.0, 2.0 - unit, unit)
            return float(function(bounds[:, 0] + unit * (bounds[:, 1] - bounds[:, 0])))

        return Objective(box(len(bounds), 0.0, 1.0), value)

    return make


def rosenbrock(x):
    return sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def ackley(x):
    return (
        20
        + math.e
        - 20 * math.exp(-0.2 * math.sqrt(np.mean(x**2)))
        - math.exp(np.mean(np.cos(2 * math.pi * x)))
    )


def rastrigin(x):
    return 10 * len(x) + sum(x**2 - 10 * np.cos(2 * math.pi * x))


def levy(x):
    w = 1 + (x - 1) / 4
    return (
        math.sin(math.pi * w[0]) ** 2
        + sum((w[:-1] - 1) ** 2 * (1 + 10 * np.sin(math.pi * w[:-1] + 1) ** 2))
        + (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)
    )


def branin(x):
    bend = x[1] - 5.1 / (4 * math.pi**2) * x[0] ** 2 + 5 / math.pi * x[0] - 6
    return bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x[0]) + 10


HARTMANN_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
HARTMANN_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(x):
    return -sum(np.array([1, 1.2, 3, 3.2]) * np.exp(-np.sum(HARTMANN_A * (x - HARTMANN_P) ** 2, axis=1)))


def styblinski(x):
    return 0.5 * sum(x**4 - 16 * x**2 + 5 * x)


def ellipsoid(rng):
    dimensions = 6
    turn, _ = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))
    centre = rng.uniform(-4.5, 4.5, dimensions)
    weights = 100 ** np.linspace(0, 1, dimensions)
    return Objective(box(dimensions, -5.0, 5.0), lambda p: float(sum(weights * (turn @ (vector(p) - centre)) ** 2)))


def heavy_tail(rng):
    """Some regions are worse by many orders of magnitude."""
    centre = rng.uniform(-4.5, 4.5, 4)
    return Objective(box(4, -5.0, 5.0), lambda p: float(math.expm1(min(sum((vector(p) - centre) ** 2) / 2, 600))))


def noisy(make, deviation):
    """The objective of `make` with normal noise."""

    def noisy(rng):
        objective = make(rng)
        noise = np.random.default_rng(rng.integers(2**32))

        def value(params):
            truth = objective.function(params)
            return truth + noise.normal(0, deviation), truth

        return Objective(objective.space, value)

    return noisy


def log_scaled(rng):
    lr, decay, momentum = rng.uniform(-4.7, -0.3), rng.uniform(-7.5, -2.5), rng.uniform(0.05, 0.94)
    space = [flt("lr", 1e-5, 1.0, log=True), flt("decay", 1e-8, 1e-2, log=True), flt("momentum", 0.0, 0.99)]
    return Objective(
        space,
        lambda p: (math.log10(p["lr"]) - lr) ** 2
        + 0.3 * (math.log10(p["decay"]) - decay) ** 2
        + 2 * (p["momentum"] - momentum) ** 2,
    )


def integers(rng):
    best = {f"n{index}": int(rng.integers(2, 99)) for index in range(4)}
    space = [whole(name, 0, 100) for name in best]
    return Objective(space, lambda p: sum(((p[name] - value) / 10) ** 2 for name, value in best.items()))


def steps(rng):
    """Whole numbers, log-scaled ones and steps, with an interaction."""
    width, layers, drop = rng.uniform(3.3, 9.7), rng.uniform(1, 8), rng.uniform(0.05, 0.85)
    space = [whole("width", 8, 1024, log=True), whole("layers", 1, 8), flt("drop", 0.0, 0.9, step=0.05)]
    space += [whole("batch", 16, 256, step=16)]

    def value(p):
        size, batch = math.log2(p["width"]), p["batch"] / 64
        return (size - width) ** 2 + (p["layers"] - layers + 0.4 * (size - width)) ** 2 + 10 * (p["drop"] - drop) ** 2 + abs(
            batch - drop * 4
        )

    return Objective(space, value)


def mixed(rng):
    kinds, modes = ["a", "b", "c", "d"], ["u", "v", "w"]
    cost = {kind: value for kind, value in zip(kinds, rng.permutation([0.0, 0.3, 0.6, 1.0]))}
    centre = {kind: rng.uniform(-4.5, 4.5, 2) for kind in kinds}
    scale = {mode: value for mode, value in zip(modes, rng.permutation([1.0, 1.5, 3.0]))}
    space = [cat("kind", kinds), cat("mode", modes), flt("x0", -5.0, 5.0), flt("x1", -5.0, 5.0)]

    def value(p):
        off = np.array([p["x0"], p["x1"]]) - centre[p["kind"]]
        return float(cost[p["kind"]] + scale[p["mode"]] * (0.2 + sum(off**2) / 10))

    return Objective(space, value)


def many_choices(rng):
    """Six choices, some that matter, one pair that interacts, and two numbers."""
    tables = [rng.normal(size=5) for _ in range(4)]
    pair = rng.normal(size=(4, 4))
    centre = rng.uniform(0.05, 0.95, 2)
    weights = [1.0, 0.7, 0.3, 0.05]
    space = [cat(f"c{index}", list(range(5))) for index in range(4)]
    space += [cat("d0", list(range(4))), cat("d1", list(range(4))), flt("x0", 0.0, 1.0), flt("x1", 0.0, 1.0)]

    def value(p):
        total = sum(weight * table[p[f"c{index}"]] for index, (weight, table) in enumerate(zip(weights, tables)))
        off = np.array([p["x0"], p["x1"]]) - centre
        return float(total + pair[p["d0"], p["d1"]] + 3 * sum(off**2))

    return Objective(space, value)


def conditional(rng):
    rates = {"sgd": rng.uniform(-4.5, -0.5), "adam": rng.uniform(-4.5, -0.5)}
    extra = {"sgd": 0.0, "adam": 0.0, rng.choice(["sgd", "adam"]): 0.15}
    momentum, beta = rng.uniform(0.05, 0.94), rng.uniform(-3.8, -0.2)
    space = [
        cat("optimizer", ["sgd", "adam"]),
        flt("lr_sgd", 1e-5, 1.0, log=True, when=["optimizer", ["sgd"]]),
        flt("momentum", 0.0, 0.99, when=["optimizer", ["sgd"]]),
        flt("lr_adam", 1e-5, 1.0, log=True, when=["optimizer", ["adam"]]),
        flt("beta", 1e-4, 1.0, log=True, when=["optimizer", ["adam"]]),
    ]

    def value(p):
        kind = p["optimizer"]
        loss = extra[kind] + 0.3 * (math.log10(p["lr_" + kind]) - rates[kind]) ** 2
        if kind == "sgd":
            return loss + (p["momentum"] - momentum) ** 2
        return loss + 0.1 * (math.log10(p["beta"]) - beta) ** 2

    return Objective(space, value)


def tree(rng):
    """Shared parameters, and a network whose depth decides which widths there are."""
    depth = int(rng.integers(1, 5))
    rate, widths = rng.uniform(-4.5, -0.5), rng.uniform(3.5, 8.5, 4)
    space = [whole("depth", 1, 4), flt("lr", 1e-5, 1.0, log=True), cat("bn", [True, False])]
    space += [whole(f"width{index}", 8, 512, log=True, when=["depth", list(range(index + 1, 5))]) for index in range(4)]
    space += [flt("eps", 1e-6, 1e-1, log=True, when=["bn", [True]])]

    def value(p):
        loss = 0.5 * (p["depth"] - depth) ** 2 + 0.5 * (math.log10(p["lr"]) - rate) ** 2
        loss += sum((math.log2(p[f"width{index}"]) - widths[index]) ** 2 for index in range(p["depth"])) / p["depth"]
        return loss + (0.1 * abs(math.log10(p["eps"]) + 3) if p["bn"] else 0.4)

    return Objective(space, value)


@lru_cache(maxsize=None)
def data(name):
    from sklearn import datasets

    loaded = getattr(datasets, f"load_{name}")()
    return loaded.data.astype(float), loaded.target


def split(name, rng, train, test, scale=True):
    x, y = data(name)
    order = rng.permutation(len(y))[: train + test]
    x, y = x[order], y[order]
    if scale:
        x = (x - x[:train].mean(axis=0)) / (x[:train].std(axis=0) + 1e-9)
    return x[:train], y[:train], x[train:], y[train:]


def log_loss(model, x, y):
    probabilities = model.predict_proba(x)
    column = np.searchsorted(model.classes_, y)
    return float(-np.mean(np.log(np.clip(probabilities[np.arange(len(y)), column], 1e-12, 1))))


def svc_digits(rng):
    """Share of wrong answers: many ties."""
    from sklearn.svm import SVC

    a, b, c, d = split("digits", rng, 250, 500)
    shift, other = 10 ** rng.uniform(-1, 1), 10 ** rng.uniform(-1, 1)
    space = [flt("c", 1e-3 * shift, 1e3 * shift, log=True), flt("gamma", 1e-5 * other, 1e1 * other, log=True)]
    space += [cat("kernel", ["rbf", "poly", "sigmoid"]), flt("coef0", 0.0, 2.0, when=["kernel", ["poly", "sigmoid"]])]

    def value(p):
        model = SVC(C=p["c"], gamma=p["gamma"], kernel=p["kernel"], coef0=p.get("coef0", 0.0), max_iter=2000)
        return float(np.mean(model.fit(a, b).predict(c) != d))

    return Objective(space, value)


def mlp_space(rng):
    shift = 10 ** rng.uniform(-0.7, 0.7)
    return [
        flt("lr", 1e-4 * shift, 1.0 * shift, log=True),
        flt("alpha", 1e-6, 1e1, log=True),
        whole("hidden", 4, 64, log=True),
        whole("batch", 8, 128, step=8),
        cat("activation", ["relu", "tanh", "logistic"]),
        flt("beta", 0.5, 0.999),
    ]


def mlp(p, **options):
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        (p["hidden"],), activation=p["activation"], alpha=p["alpha"], batch_size=p["batch"],
        learning_rate_init=p["lr"], beta_1=p["beta"], random_state=0, **options,
    )  # fmt: skip


def mlp_digits(rng):
    a, b, c, d = split("digits", rng, 150, 400)
    space = mlp_space(rng)
    return Objective(space, lambda p: log_loss(mlp(p, max_iter=8).fit(a, b), c, d))


def sgd_cancer(rng):
    from sklearn.linear_model import SGDClassifier

    a, b, c, d = split("breast_cancer", rng, 150, 400)
    shift = 10 ** rng.uniform(-1, 1)
    space = [
        flt("alpha", 1e-6, 1e1, log=True),
        flt("eta", 1e-5 * shift, 1.0 * shift, log=True),
        cat("schedule", ["constant", "invscaling", "adaptive"]),
        flt("power", 0.05, 1.0, when=["schedule", ["invscaling"]]),
        cat("penalty", ["l2", "l1", "elasticnet"]),
        flt("ratio", 0.0, 1.0, when=["penalty", ["elasticnet"]]),
        whole("epochs", 2, 30, log=True),
    ]

    def value(p):
        model = SGDClassifier(
            loss="log_loss", alpha=p["alpha"], eta0=p["eta"], learning_rate=p["schedule"], penalty=p["penalty"],
            power_t=p.get("power", 0.5), l1_ratio=p.get("ratio", 0.15), max_iter=p["epochs"], tol=None, random_state=0,
        )  # fmt: skip
        return log_loss(model.fit(a, b), c, d)

    return Objective(space, value)


def boosting_diabetes(rng):
    from sklearn.ensemble import GradientBoostingRegressor

    a, b, c, d = split("diabetes", rng, 120, 300)
    shift = 10 ** rng.uniform(-0.5, 0.5)
    space = [
        flt("rate", 1e-3 * shift, 1.0 * shift, log=True),
        whole("trees", 5, 60),
        whole("depth", 1, 6),
        whole("leaf", 1, 40, log=True),
        flt("subsample", 0.3, 1.0),
        flt("features", 0.1, 1.0, step=0.1),
    ]

    def value(p):
        model = GradientBoostingRegressor(
            learning_rate=p["rate"], n_estimators=p["trees"], max_depth=p["depth"], min_samples_leaf=p["leaf"],
            subsample=p["subsample"], max_features=p["features"], random_state=0,
        )  # fmt: skip
        return float(np.sqrt(np.mean((model.fit(a, b).predict(c) - d) ** 2)))

    return Objective(space, value)


def models_wine(rng):
    """Which model, and its parameters."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.tree import DecisionTreeClassifier

    a, b, c, d = split("wine", rng, 50, 120)
    shift = 10 ** rng.uniform(-1, 1)
    space = [
        cat("model", ["logistic", "neighbours", "tree"]),
        flt("c", 1e-4 * shift, 1e3 * shift, log=True, when=["model", ["logistic"]]),
        whole("k", 1, 40, when=["model", ["neighbours"]]),
        flt("p", 1.0, 4.0, when=["model", ["neighbours"]]),
        cat("weights", ["uniform", "distance"], when=["model", ["neighbours"]]),
        whole("depth", 1, 10, when=["model", ["tree"]]),
        whole("leaf", 1, 20, when=["model", ["tree"]]),
    ]

    def value(p):
        if p["model"] == "logistic":
            model = LogisticRegression(C=p["c"], max_iter=100)
        elif p["model"] == "neighbours":
            model = KNeighborsClassifier(p["k"], p=p["p"], weights=p["weights"], algorithm="brute")
        else:
            model = DecisionTreeClassifier(max_depth=p["depth"], min_samples_leaf=p["leaf"], random_state=0)
        return log_loss(model.fit(a, b), c, d)

    return Objective(space, value)


OBJECTIVES = {
    "sphere 5d": centred(5, -5.0, 5.0, lambda x: sum(x**2)),
    "ellipsoid 6d, turned": ellipsoid,
    "rosenbrock 4d": centred(4, -2.5, 2.5, rosenbrock, 1.0),
    "branin": mirrored([(-5, 10), (0, 15)], branin),
    "hartmann 6d": mirrored([(0, 1)] * 6, hartmann),
    "ackley 10d": centred(10, -15.0, 15.0, ackley),
    "rastrigin 5d": centred(5, -5.12, 5.12, rastrigin),
    "levy 8d": centred(8, -10.0, 10.0, levy, 1.0),
    "styblinski-tang 5d": mirrored([(-5, 5)] * 5, styblinski),
    "heavy tail 4d": heavy_tail,
    "noisy 4d": noisy(centred(4, -5.0, 5.0, lambda x: sum(x**2)), 3.0),
    "log-scaled": log_scaled,
    "integers": integers,
    "integers, steps": steps,
    "mixed": mixed,
    "many choices": many_choices,
    "conditional": conditional,
    "tree": tree,
    "SVC, digits": svc_digits,
    "MLP, digits": mlp_digits,
    "SGD, breast cancer": sgd_cancer,
    "boosting, diabetes": boosting_diabetes,
    "models, wine": models_wine,
}
