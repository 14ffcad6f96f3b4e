"""explr's stand-in for Weights & Biases: the metrics of an unchanged script, without W&B.

It is on the path of commands with `train: {metrics: {wandb: true}}`. What `wandb.log` is given
becomes a metric of the run, `wandb.config` holds the run's hyperparameters, and nothing is sent
anywhere. Of W&B's other functions, those that only watch or show do nothing.
"""

import atexit
import json
import os
import sys

__version__ = "0.0.0+explr"

run = None
_warned = set()


def _warn(text):
    if text not in _warned:
        _warned.add(text)
        print("wandb (explr's stand-in): " + text, file=sys.stderr)


def _say(**line):
    text = json.dumps(line) + "\n"
    # One write a line, at the end of the file, whichever process it is in.
    events = os.open(os.environ["EXPLR_EVENTS"], os.O_WRONLY | os.O_APPEND)
    try:
        os.write(events, text.encode())
    finally:
        os.close(events)


def _plain(value):
    """A number or text of NumPy or PyTorch as Python's own."""
    if hasattr(value, "item"):
        try:
            return value.item()
        except (TypeError, ValueError, RuntimeError):
            return value
    return value


def _numbers(data, prefix=""):
    for key, value in data.items():
        value = _plain(value)
        if isinstance(value, dict):
            yield from _numbers(value, prefix + str(key) + ".")
        elif isinstance(value, (bool, int, float)):
            yield prefix + str(key), float(value)
        else:
            _warn("`%s%s` is no number, and is left out" % (prefix, key))


def _settings(given):
    """A dict, or the attributes of what argparse makes."""
    if given is None:
        return {}
    return dict(given) if isinstance(given, dict) else dict(vars(given))


class Config(dict):
    """Hyperparameters, as attributes and as items. The run's own ones win."""

    def __init__(self):
        super().__init__()
        with open(os.environ["EXPLR_PARAMS_FILE"], encoding="utf-8") as file:
            self._fixed = json.load(file)
        super().update(self._fixed)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError("wandb.config has no `%s`" % name) from None

    def __setattr__(self, name, value):
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            self[name] = value

    def __setitem__(self, name, value):
        self.update({name: value})

    def update(self, values=None, allow_val_change=None, **more):
        values = {**_settings(values), **more}
        super().update({k: v for k, v in values.items() if k not in self._fixed})

    def setdefaults(self, values):
        self.update({k: v for k, v in dict(values).items() if k not in self})

    def as_dict(self):
        return dict(self)


class Summary(dict):
    """Final values: what is set here is logged."""

    def __setitem__(self, name, value):
        self.update({name: value})

    def update(self, values=None, **more):
        values = {**(values or {}), **more}
        super().update(values)
        _log(values, run._step if run else 0)


def _log(data, step):
    values = dict(_numbers(data))
    if values:
        _say(type="metrics", values=values, step=step)


class Run:
    """The run that explr made."""

    def __init__(self, config=None, name=None, project=None, **_):
        self.id = os.environ["EXPLR_RUN_ID"]
        self.name = name or self.id
        self.project = project or ""
        self.dir = os.environ["EXPLR_ARTIFACT_DIR"]
        self.url = None
        self.config = globals()["config"]
        self.config.setdefaults(_settings(config))
        self.summary = globals()["summary"]
        self._step = 0
        self._waiting = {}

    @property
    def step(self):
        return self._step

    def log(self, data, step=None, commit=None, **_):
        if step is not None and step != self._step:
            self._commit()
            self._step = step
        self._waiting.update(data)
        if commit or (commit is None and step is None):
            self._commit()
            self._step += 1

    def _commit(self):
        waiting, self._waiting = self._waiting, {}
        numbers = dict(_numbers(waiting))
        dict.update(self.summary, numbers)
        _log(numbers, self._step)

    def save(self, path=None, **_):
        if path and os.path.isfile(path):
            _say(type="artifact", path=os.path.abspath(path))
        return True

    def log_artifact(self, artifact, **_):
        return self.save(artifact if isinstance(artifact, str) else None)

    def alert(self, title="", text="", **_):
        _say(type="log", level="warning", message="%s: %s" % (title, text))

    def finish(self, exit_code=None, **_):
        global run
        self._commit()
        run = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.finish()
        return False

    def watch(self, *_, **__):
        """Gradients are not logged."""

    unwatch = mark_preempting = use_artifact = define_metric = log_code = watch


config = Config()
summary = Summary()


def init(**settings):
    global run
    if run is None:
        run = Run(**settings)
    return run


def _current():
    if run is None:
        raise RuntimeError("call wandb.init() first")
    return run


def log(data, step=None, commit=None, **_):
    _current().log(data, step=step, commit=commit)


def save(path=None, **_):
    return _current().save(path)


def log_artifact(artifact, **_):
    return _current().log_artifact(artifact)


def alert(*arguments, **named):
    _current().alert(*arguments, **named)


def finish(exit_code=None, **_):
    if run is not None:
        run.finish()


def _ignore(*_, **__):
    """Only watches or shows."""


login = setup = watch = unwatch = define_metric = _ignore


def sweep(*_, **__):
    raise RuntimeError("explr does the sweep: `explr import wandb`, then `explr tune`")


agent = sweep


class _Shown:
    """Pictures, tables and the like are not kept."""

    def __init__(self, *_, **__):
        pass

    def __getattr__(self, name):
        return _ignore


Image = Table = Histogram = Audio = Video = Html = Object3D = Artifact = Settings = _Shown


class plot:
    line = scatter = bar = histogram = confusion_matrix = roc_curve = pr_curve = _Shown


atexit.register(finish)
