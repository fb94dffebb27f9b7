"""``task.toml``: what is known of a task without loading its code."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sgpbench.errors import PluginError

__all__ = ["TaskInfo", "read_task_info"]


class TaskInfo(BaseModel):
    """The contents of a ``task.toml``; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    version: Annotated[int, Field(ge=1)]
    title: str
    description: str
    headline: str
    """The metric by which models are ranked; one of ``metrics``."""
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    splits: Annotated[tuple[str, ...], Field(min_length=1)]
    """The first one is the default."""
    data: tuple[str, ...] = ()
    """Data sets without which the task has no prompts."""
    optional_data: tuple[str, ...] = ()
    """Data sets without which some metrics are missing."""
    licence: str

    @model_validator(mode="after")
    def _ranks_by_a_metric_of_its_own(self) -> TaskInfo:
        if self.headline not in self.metrics:
            raise ValueError(f"headline '{self.headline}' is not among the metrics")
        return self


def read_task_info(folder: Path) -> TaskInfo:
    """The ``task.toml`` in a task's folder.

    Raises:
        PluginError: it is missing or breaks the schema; the message names file and key.
    """
    path = folder / "task.toml"
    try:
        info = TaskInfo.model_validate_json(json.dumps(tomllib.loads(path.read_text("utf-8"))))
    except OSError as error:
        raise PluginError(f"The task in {folder} has no readable task.toml: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PluginError(f"{path} is not valid TOML: {error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "task"
        raise PluginError(f"{path}: {where}: {first['msg']}.") from None
    if info.name != folder.name:
        raise PluginError(f"{path} calls itself '{info.name}'; name and folder name must agree.")
    return info
