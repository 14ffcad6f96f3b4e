"""Which names metrics, params, tags and artifacts may have.

The rules are MLflow's, checked here so that a wrong name fails in the line
that uses it, not as a whole batch, long after the fact.
"""

from __future__ import annotations

import re

from explr_sdk.errors import LogError

_KEY = re.compile(r"[\w\-. :/]+")
_BAD_IN_ARTIFACT = re.compile(r"[\x00-\x1f\x7f-\x9f\\#%]")


def check_key(kind: str, key: str) -> None:
    """Checks the name of a metric, param or tag."""
    if not isinstance(key, str):
        raise LogError(f"the name of a {kind} must be a text, and {key!r} is none")
    if not key:
        problem = "it is empty"
    elif len(key) > 250:
        problem = "it is longer than 250 characters"
    elif not _KEY.fullmatch(key):
        problem = "only letters, digits, `_`, `-`, `.`, `:`, `/` and spaces are allowed"
    elif not _is_normal_path(key):
        problem = "read as a path it has an empty part, `.` or `..`"
    else:
        return
    raise LogError(f"`{key}` can't be the name of a {kind}: {problem}")


def check_artifact(path: str) -> None:
    """Checks where an artifact is to stand, relative to the artifact folder."""
    if not isinstance(path, str):
        raise LogError(f"the name of an artifact must be a text, and {path!r} is none")
    if not path:
        problem = "it is empty"
    elif path.startswith("/"):
        problem = "it is absolute; give a path relative to the run's artifacts"
    elif not _is_normal_path(path):
        problem = "it has an empty part, `.` or `..`"
    elif _BAD_IN_ARTIFACT.search(path):
        problem = "control characters, `\\`, `#` and `%` are not allowed"
    elif any(len(part.encode(errors="replace")) > 255 for part in path.split("/")):
        problem = "a part of it is longer than 255 bytes"
    else:
        return
    raise LogError(f"`{path}` can't be the name of an artifact: {problem}")


def _is_normal_path(path: str) -> bool:
    return all(part not in ("", ".", "..") for part in path.split("/"))
