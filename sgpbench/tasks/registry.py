"""Finds task plugins: in ``tasks/`` at the root, in the entry point group ``sgpbench.tasks``, or at a given path.

A plugin is a package (a folder with ``__init__.py`` and ``task.toml``) whose attribute ``TASK`` follows
``sgpbench.tasks.interface.Task``. Listing reads only the TOML files; code is loaded when a task is asked for by name.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import cast

from sgpbench.errors import PluginError, SgpbenchError, unknown_name
from sgpbench.paths import root_folder
from sgpbench.tasks.info import TaskInfo, read_task_info
from sgpbench.tasks.interface import Task

__all__ = ["GROUP", "load_task", "load_task_info", "task_folder", "task_infos", "task_names"]

GROUP = "sgpbench.tasks"
_PARENT = "sgpbench_plugins"
_AGREED = ("name", "version", "splits", "metrics", "headline")


def task_names() -> list[str]:
    """The names of all tasks that are installed, sorted; whether they load is not looked at."""
    return sorted({folder.name for folder in _root_folders()} | {point.name for point in _entry_points()})


def task_infos() -> tuple[list[TaskInfo], list[PluginError]]:
    """What is known of every task, and the error of each plugin that is broken. Loads no code of root tasks."""
    infos: list[TaskInfo] = []
    broken: list[PluginError] = []
    for name in task_names():
        try:
            folder = task_folder(name)
            infos.append(read_task_info(folder) if folder else _info_of(load_task(name)))
        except PluginError as error:
            broken.append(error)
    return sorted(infos, key=lambda info: info.name), broken


def task_folder(name: str) -> Path | None:
    """The folder of a root task by name; ``None`` for one that comes from an entry point."""
    return next((folder for folder in _root_folders() if folder.name == name), None)


def load_task(name_or_path: str) -> Task:
    """The task of that name, or the one in that folder (anything with a ``/``, or an existing folder with a task.toml).

    Raises:
        UsageError: there is no task of that name.
        PluginError: it cannot be loaded; the message names the plugin and its own error.
    """
    if path := _given_folder(name_or_path):
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
        return _load_folder(path, f"{path.name}_{digest}")
    if folder := task_folder(name_or_path):
        return _load_folder(folder, name_or_path)
    for point in _entry_points():
        if point.name == name_or_path:
            return _load_entry_point(point)
    raise unknown_name("task", name_or_path, task_names(), listing="sgpbench tasks list")


def load_task_info(name_or_path: str) -> TaskInfo:
    """The same task's description.

    Raises:
        UsageError: there is no task of that name.
        PluginError: its ``task.toml`` is broken, or an entry point does not load.
    """
    folder = _given_folder(name_or_path) or task_folder(name_or_path)
    return read_task_info(folder) if folder else _info_of(load_task(name_or_path))


def _given_folder(name_or_path: str) -> Path | None:
    """The folder that a path on the command line means; ``None`` for a name."""
    path = Path(name_or_path)
    if "/" in name_or_path or (name_or_path not in task_names() and (path / "task.toml").is_file()):
        if not path.is_dir():
            raise PluginError(f"There is no task folder at {path}.")
        return path.resolve()
    return None


def _root_folders() -> list[Path]:
    return sorted(path.parent for path in root_folder("tasks").glob("*/task.toml"))


def _entry_points() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda point: point.name)


def _load_folder(folder: Path, module_name: str) -> Task:
    info = read_task_info(folder)
    module = _import_folder(folder, f"{_PARENT}.{module_name.replace('-', '_').replace('.', '_')}", info.name)
    task = _checked(getattr(module, "TASK", None), f"The task '{info.name}' in {folder}")
    for key in _AGREED:
        if getattr(task, key) != getattr(info, key):
            raise PluginError(
                f"The task '{info.name}' in {folder} has {key} {getattr(task, key)!r} in its code and "
                f"{getattr(info, key)!r} in its task.toml."
            )
    return task


def _import_folder(folder: Path, module_name: str, task: str) -> ModuleType:
    """Imports a folder as a package under a name of our own, once per process."""
    if module_name in sys.modules:
        return sys.modules[module_name]
    if _PARENT not in sys.modules:
        parent = ModuleType(_PARENT)
        parent.__path__ = []
        sys.modules[_PARENT] = parent
    spec = importlib.util.spec_from_file_location(
        module_name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise PluginError(f"The task '{task}' in {folder} is not a Python package.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except SgpbenchError:
        _forget(module_name)
        raise
    except (Exception, SystemExit) as error:
        _forget(module_name)
        raise PluginError(f"The task '{task}' in {folder} does not load: {type(error).__name__}: {error}.") from error
    return module


def _forget(module_name: str) -> None:
    for name in [name for name in sys.modules if name == module_name or name.startswith(f"{module_name}.")]:
        del sys.modules[name]


def _load_entry_point(point: EntryPoint) -> Task:
    where = f"The task '{point.name}' of {point.dist.name if point.dist else point.value}"
    try:
        loaded = point.load()
    except SgpbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{where} does not load: {type(error).__name__}: {error}.") from error
    task = _checked(loaded, where)
    if task.name != point.name:
        raise PluginError(f"{where} calls itself '{task.name}'; name and entry point must agree.")
    return task


def _checked(candidate: object, where: str) -> Task:
    if candidate is None:
        raise PluginError(f"{where} has no attribute TASK.")
    missing = [name for name in (*_AGREED, "prompts", "aggregate") if not hasattr(candidate, name)]
    if missing:
        raise PluginError(f"{where} is no task: it lacks {', '.join(missing)}.")
    return cast("Task", candidate)


def _info_of(task: Task) -> TaskInfo:
    """What an entry point's task says of itself."""
    doc = (type(task).__doc__ or "").strip().splitlines()
    return TaskInfo(
        name=task.name,
        version=task.version,
        title=task.name,
        description=doc[0] if doc else "",
        headline=task.headline,
        metrics=tuple(task.metrics),
        splits=tuple(task.splits),
        licence="not stated",
    )
