"""Further objectives, made after the first: more functions, more noise, more models.

The variants of the default sampler were compared on these and the first ones.
"""

import math

import numpy as np
from objectives import (
    Objective,
    ackley,
    box,
    cat,
    centred,
    flt,
    levy,
    log_loss,
    log_scaled,
    mirrored,
    mixed,
    noisy,
    rastrigin,
    rosenbrock,
    split,
    vector,
    whole,
)  # fmt: skip


def index(x):
    return np.arange(1, len(x) + 1)


def griewank(x):
    return 1 + sum(x**2) / 4000 - np.prod(np.cos(x / np.sqrt(index(x))))


def schwefel(x):
    return 418.9829 * len(x) - sum(x * np.sin(np.sqrt(np.abs(x))))


def michalewicz(x):
    return -sum(np.sin(x) * np.sin(index(x) * x**2 / math.pi) ** 20)


def zakharov(x):
    tilt = sum(0.5 * index(x) * x)
    return sum(x**2) + tilt**2 + tilt**4


def dixon_price(x):
    return (x[0] - 1) ** 2 + sum(index(x)[1:] * (2 * x[1:] ** 2 - x[:-1]) ** 2)


def powell(x):
    return (x[0] + 10 * x[1]) ** 2 + 5 * (x[2] - x[3]) ** 2 + (x[1] - 2 * x[2]) ** 4 + 10 * (x[0] - x[3]) ** 4


def camel(x):
    return (4 - 2.1 * x[0] ** 2 + x[0] ** 4 / 3) * x[0] ** 2 + x[0] * x[1] + (-4 + 4 * x[1] ** 2) * x[1] ** 2


def goldstein_price(x):
    a, b = x
    first = 1 + (a + b + 1) ** 2 * (19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2)
    return first * (30 + (2 * a - 3 * b) ** 2 * (18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2))


SHEKEL_A = np.array(
    [
        [4, 4, 4, 4], [1, 1, 1, 1], [8, 8, 8, 8], [6, 6, 6, 6], [3, 7, 3, 7],
        [2, 9, 2, 9], [5, 5, 3, 3], [8, 1, 8, 1], [6, 2, 6, 2], [7, 3.6, 7, 3.6],
    ]
)  # fmt: skip
SHEKEL_C = 0.1 * np.array([1, 2, 2, 4, 4, 6, 3, 7, 5, 5])


def shekel(x):
    return -sum(1 / (np.sum((x - SHEKEL_A) ** 2, axis=1) + SHEKEL_C))


def powers(x):
    return sum(np.abs(x) ** (index(x) + 1))


def alpine(x):
    return sum(np.abs(x * np.sin(x) + 0.1 * x))


def cross_in_tray(x):
    bump = math.exp(min(abs(100 - math.hypot(*x) / math.pi), 300))
    return -0.0001 * (abs(math.sin(x[0]) * math.sin(x[1]) * bump) + 1) ** 0.1


def plateaus(rng):
    centre = rng.uniform(-4.5, 4.5, 4)
    return Objective(box(4, -5.0, 5.0), lambda p: float(sum(np.floor(np.abs(vector(p) - centre)))))


def few_matter(rng):
    """Of twelve parameters three matter."""
    centre, weights = rng.uniform(0.05, 0.95, 12), np.zeros(12)
    weights[rng.permutation(12)[:3]] = [1, 0.5, 0.2]
    return Objective(box(12, 0.0, 1.0), lambda p: float(sum(weights * (vector(p) - centre) ** 2)))


def cliff(rng):
    """The best rate lies at the edge beyond which training diverges."""
    edge, decay, drop = rng.uniform(-2.5, -0.7), rng.uniform(-7, -3), rng.uniform(0.1, 0.8)
    layers = int(rng.integers(2, 8))
    space = [flt("lr", 1e-5, 1.0, log=True), flt("decay", 1e-8, 1e-2, log=True), flt("drop", 0.0, 0.9)]

    def value(p):
        below = edge - math.log10(p["lr"])
        if below < 0:
            return 10.0 - below
        rest = 0.1 * (math.log10(p["decay"]) - decay) ** 2 + (p["drop"] - drop) ** 2
        return 0.6 * below + rest + 0.05 * (p["layers"] - layers) ** 2

    return Objective([*space, whole("layers", 1, 8)], value)


def algorithms(rng):
    """Three algorithms with parameters of their own, and one that they share."""
    best, shared = str(rng.choice(["a", "b", "c"])), rng.uniform(-3.5, 0.5)
    centre = {kind: rng.uniform(0.05, 0.95, 2) for kind in "abc"}
    cost = {kind: 0.0 if kind == best else rng.uniform(0.05, 0.3) for kind in "abc"}
    mode = {kind: str(rng.choice(["p", "q"])) for kind in "abc"}
    space = [cat("algorithm", ["a", "b", "c"]), flt("shared", 1e-4, 1e1, log=True)]
    for kind in "abc":
        when = ["algorithm", [kind]]
        space += [flt(f"{kind}0", 0.0, 1.0, when=when), flt(f"{kind}1", 0.0, 1.0, when=when)]
        space += [cat(f"{kind}_mode", ["p", "q"], when=when)]

    def value(p):
        kind = p["algorithm"]
        off = (p[f"{kind}0"] - centre[kind][0]) ** 2 + (p[f"{kind}1"] - centre[kind][1]) ** 2
        loss = cost[kind] + 0.15 * (math.log10(p["shared"]) - shared) ** 2 + off
        return loss + (0.1 if p[f"{kind}_mode"] != mode[kind] else 0.0)

    return Objective(space, value)


def wavy_integers(rng):
    centre = rng.integers(3, 60, 5)

    def value(p):
        off = np.array([p[f"n{index}"] for index in range(5)]) - centre
        return float(sum(1.2 * (off / 16) ** 2 + 0.5 * (1 - np.cos(0.7 * off))))

    return Objective([whole(f"n{index}", 0, 63) for index in range(5)], value)


def switches(rng):
    """Ten switches, of which all pairs interact."""
    alone, pairs = rng.normal(size=10), np.triu(rng.normal(size=(10, 10)) * 0.5, 1)

    def value(p):
        on = np.array([1.0 if p[f"s{index}"] else -1.0 for index in range(10)])
        return float(alone @ on + on @ pairs @ on)

    return Objective([cat(f"s{index}", [False, True]) for index in range(10)], value)


def neighbours_digits(rng):
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier

    a, b, c, d = split("digits", rng, 200, 400)
    space = [whole("k", 1, 40, log=True), flt("p", 1.0, 4.0), cat("weights", ["uniform", "distance"])]
    space += [whole("components", 2, 40, log=True), flt("exponent", 0.1, 2.0)]

    def value(p):
        turn = PCA(p["components"], random_state=0).fit(a)

        def bend(x):
            turned = turn.transform(x)
            return np.sign(turned) * np.abs(turned) ** p["exponent"]

        model = KNeighborsClassifier(p["k"], weights=p["weights"], p=p["p"], algorithm="brute")
        return log_loss(model.fit(bend(a), b), bend(c), d)

    return Objective(space, value)


def ridge_diabetes(rng):
    from sklearn.kernel_ridge import KernelRidge

    a, b, c, d = split("diabetes", rng, 150, 280)
    shift, mean = 10 ** rng.uniform(-1, 1), b.mean()
    when = ["kernel", ["polynomial"]]
    space = [flt("alpha", 1e-4 * shift, 1e2 * shift, log=True), cat("kernel", ["rbf", "laplacian", "polynomial"])]
    space += [flt("gamma", 1e-5, 1e1, log=True), whole("degree", 1, 4, when=when), flt("coef0", 0.0, 5.0, when=when)]

    def value(p):
        model = KernelRidge(
            alpha=p["alpha"], kernel=p["kernel"], gamma=p["gamma"], degree=p.get("degree", 3), coef0=p.get("coef0", 1.0)
        )
        error = float(np.sqrt(np.mean((model.fit(a, b - mean).predict(c) + mean - d) ** 2)))
        return error if math.isfinite(error) else 1e9

    return Objective(space, value)


def trees_wine(rng):
    from sklearn.ensemble import ExtraTreesClassifier

    a, b, c, d = split("wine", rng, 60, 110)
    space = [
        whole("trees", 2, 30, log=True),
        whole("depth", 1, 12),
        whole("leaf", 1, 20, log=True),
        flt("features", 0.1, 1.0),
        flt("pruning", 1e-5, 1e-1, log=True),
        cat("criterion", ["gini", "entropy"]),
    ]

    def value(p):
        model = ExtraTreesClassifier(
            p["trees"], max_depth=p["depth"], min_samples_leaf=p["leaf"], max_features=p["features"],
            ccp_alpha=p["pruning"], criterion=p["criterion"], random_state=0,
        )  # fmt: skip
        return log_loss(model.fit(a, b), c, d)

    return Objective(space, value)


def network_cancer(rng):
    """Three epochs of a network with one hidden layer, by momentum."""
    a, b, c, d = split("breast_cancer", rng, 150, 400)
    seed, shift = int(rng.integers(2**31)), 10 ** rng.uniform(-0.7, 0.7)
    space = [
        flt("lr", 1e-4 * shift, 3.0 * shift, log=True),
        flt("momentum", 0.0, 0.99),
        flt("decay", 1e-6, 1e-1, log=True),
        whole("hidden", 2, 64, log=True),
        whole("batch", 4, 64, step=4),
        flt("init", 0.01, 3.0, log=True),
    ]

    def predict(x, first, second):
        return 1 / (1 + np.exp(-np.clip(np.tanh(x @ first) @ second, -50, 50)))

    def value(p):
        draws = np.random.default_rng(seed)
        first = draws.normal(size=(30, p["hidden"])) * p["init"] / math.sqrt(30)
        second = draws.normal(size=p["hidden"]) * p["init"] / math.sqrt(p["hidden"])
        speed = [np.zeros_like(first), np.zeros_like(second)]
        for _ in range(3):
            order = draws.permutation(150)
            for start in range(0, 150, p["batch"]):
                rows = order[start : start + p["batch"]]
                hidden, error = np.tanh(a[rows] @ first), (predict(a[rows], first, second) - b[rows]) / len(rows)
                by_first = a[rows].T @ (np.outer(error, second) * (1 - hidden**2)) + p["decay"] * first
                by_second = hidden.T @ error + p["decay"] * second
                speed = [p["momentum"] * v - p["lr"] * g for v, g in zip(speed, (by_first, by_second))]
                first, second = first + speed[0], second + speed[1]
        sure = predict(c, first, second)
        loss = float(-np.mean(np.log(np.clip(np.where(d == 1, sure, 1 - sure), 1e-12, 1))))
        return loss if math.isfinite(loss) else 50.0

    return Objective(space, value)


OBJECTIVES = {
    "griewank 6d": centred(6, -50.0, 50.0, griewank),
    "schwefel 4d": mirrored([(-500, 500)] * 4, schwefel),
    "michalewicz 5d": mirrored([(0, math.pi)] * 5, michalewicz),
    "zakharov 5d": centred(5, -5.0, 5.0, zakharov),
    "dixon-price 6d": mirrored([(-10, 10)] * 6, dixon_price),
    "powell 4d": mirrored([(-4, 5)] * 4, powell),
    "camel": mirrored([(-2, 2), (-1, 1)], camel),
    "goldstein-price": mirrored([(-2, 2)] * 2, goldstein_price),
    "shekel": mirrored([(0, 10)] * 4, shekel),
    "powers 8d": centred(8, -1.0, 1.0, powers),
    "alpine 6d": mirrored([(-10, 10)] * 6, alpine),
    "cross in tray": mirrored([(-10, 10)] * 2, cross_in_tray),
    "ackley 4d": centred(4, -15.0, 15.0, ackley),
    "rastrigin 8d": centred(8, -5.12, 5.12, rastrigin),
    "sphere 10d": centred(10, -5.0, 5.0, lambda x: sum(x**2)),
    "noisy sphere 3d": noisy(centred(3, -5.0, 5.0, lambda x: sum(x**2)), 6.0),
    "noisy valley 3d": noisy(centred(3, -2.5, 2.5, lambda x: math.log1p(rosenbrock(x)), 1.0), 0.7),
    "noisy levy 5d": noisy(centred(5, -10.0, 10.0, levy, 1.0), 4.0),
    "noisy log-scaled": noisy(log_scaled, 0.4),
    "noisy mixed": noisy(mixed, 0.3),
    "plateaus 4d": plateaus,
    "3 of 12 matter": few_matter,
    "cliff": cliff,
    "algorithms": algorithms,
    "wavy integers": wavy_integers,
    "switches": switches,
    "neighbours, digits": neighbours_digits,
    "kernel ridge, diabetes": ridge_diabetes,
    "extra trees, wine": trees_wine,
    "network, breast cancer": network_cancer,
}
