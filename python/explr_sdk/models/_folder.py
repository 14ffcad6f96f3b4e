"""The files around a model that make a folder a model to MLflow."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from explr_sdk.models._signature import Signature


@dataclass
class Flavor:
    """How MLflow is to load what a framework wrote."""

    name: str
    """The flavor, as in `mlflow.<name>`."""
    options: dict[str, Any]
    """What the flavor's own `load_model` needs."""
    pyfunc: dict[str, Any]
    """What `mlflow.pyfunc.load_model` needs."""
    packages: Sequence[str]
    """The packages that loading needs."""
    code: str | None = None
    """The folder of the train function's own modules."""
    signature: Signature = field(default_factory=Signature)

    def write_to(self, folder: Path) -> None:
        """Writes the requirements, the environment, and last the file that makes it a model."""
        requirements = [_pinned(name) for name in dict.fromkeys(("mlflow", *self.packages))]
        (folder / "requirements.txt").write_text("\n".join(requirements) + "\n")
        environment = f"python: {platform.python_version()}\ndependencies:\n- -r requirements.txt\n"
        (folder / "python_env.yaml").write_text(environment)
        (folder / "MLmodel").write_text(_yaml(self._described(folder)), encoding="utf-8")

    def _described(self, folder: Path) -> dict[str, Any]:
        pyfunc = {
            "loader_module": f"mlflow.{self.name}",
            **self.pyfunc,
            "python_version": platform.python_version(),
            "env": {"virtualenv": "python_env.yaml"},
        }
        code = {} if self.code is None else {"code": self.code}
        now = datetime.now(timezone.utc)
        described: dict[str, Any] = {
            "artifact_path": folder.name,
            "flavors": {
                "python_function": {**pyfunc, **code},
                self.name: {**self.options, **code},
            },
            "model_size_bytes": sum(
                file.stat().st_size for file in folder.rglob("*") if file.is_file()
            ),
            "utc_time_created": now.strftime("%Y-%m-%d %H:%M:%S.%f"),
        }
        signature = self.signature.described()
        return {**described, "signature": signature} if signature else described


def installed(package: str) -> str | None:
    """The version of an installed package, without what a local build adds to it."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return None


def _pinned(package: str) -> str:
    found = installed(package)
    return package if found is None else f"{package}=={found}"


def _yaml(tree: Mapping[str, Any], indent: str = "") -> str:
    """Nested maps as YAML. A scalar of JSON is one of YAML."""
    text = ""
    for key, value in tree.items():
        if isinstance(value, dict):
            text += f"{indent}{key}:\n{_yaml(value, indent + '  ')}"
        else:
            text += f"{indent}{key}: {json.dumps(value)}\n"
    return text
