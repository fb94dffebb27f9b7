"""From what the user writes after ``--model`` to a model that answers.

A model is a name from the catalog, or ``adapter/model-id``. Adapters come with sgpbench, from other packages through
the entry point group ``sgpbench.models``, or from a file: ``./my_adapter.py:open_mine/model-id``. Nothing here imports a
provider's SDK; an adapter's module is imported when one of its models is opened.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import cast

from sgpbench.errors import PluginError, SgpbenchError, UnsupportedParameter, UsageError, unknown_name
from sgpbench.models import catalog
from sgpbench.models.catalog import CatalogEntry
from sgpbench.models.interface import Adapter, Concurrency, Model, ModelSpec, Price, arguments_of
from sgpbench.paths import root_folder
from sgpbench.publishable import refuse_keys

__all__ = [
    "BUILT_IN",
    "COMMON_ARGUMENTS",
    "GROUP",
    "adapter_arguments",
    "adapter_names",
    "find_entry",
    "known_models",
    "open_model",
    "resolve",
]

GROUP = "sgpbench.models"
BUILT_IN: Mapping[str, str] = {
    "anthropic": "sgpbench.models.anthropic_adapter:open_anthropic",
    "baseline": "sgpbench.models.baseline:open_baseline",
    "google": "sgpbench.models.google_adapter:open_google",
    "llamacpp": "sgpbench.models.llamacpp:open_llamacpp",
    "openai": "sgpbench.models.openai_adapter:open_openai",
    "replay": "sgpbench.models.replay:open_replay",
    "vllm": "sgpbench.models.vllm:open_vllm",
}
_LISTING = "sgpbench models list"
_IN_FILE = re.compile(r"(?P<adapter>(?P<path>[^:]+\.py):(?P<function>[A-Za-z_]\w*))/(?P<id>.+)", re.DOTALL)
_SAMPLING: Mapping[str, Callable[[str], float | int | str]] = {
    "temperature": float,
    "top_p": float,
    "max_tokens": int,
    "stop": str,
}
COMMON_ARGUMENTS: Mapping[str, str] = {
    "temperature": "instead of the protocol's, 0 to 2",
    "top_p": "instead of the protocol's, 0 to 1",
    "max_tokens": "most tokens of an answer, instead of the protocol's",
    "stop": "a text at which an answer ends, instead of the protocol's",
    "price_input": "US dollars per million tokens, with price_output; price_cached and price_reasoning may stand beside",
    "price_output": "see price_input",
    "price_cached": "see price_input",
    "price_reasoning": "see price_input",
    "sees": "true: the model takes pictures, so it can judge",
}
"""Arguments of every model, whatever its adapter, each with a line for people."""
_SYSTEM_PROMPT = {"system", "system_prompt", "system_message", "instructions", "prompt"}
_PRICES = ("price_input", "price_output", "price_cached", "price_reasoning")
_MODEL_HAS = (
    *("name", "accepts", "sees", "max_n", "seeds", "concurrency", "price", "endpoint", "device", "identity"),
    *("generate", "aclose"),
)


def known_models() -> list[CatalogEntry]:
    """All entries of the catalog, sorted by name."""
    return list(catalog.known_models())


def adapter_names() -> list[str]:
    """All adapters that can stand before a ``/``, sorted; whether they load is not looked at."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def find_entry(name: str) -> CatalogEntry | None:
    """The catalog's entry with that name or alias."""
    return next((entry for entry in catalog.known_models() if name in entry.names), None)


def resolve(name: str, model_args: Mapping[str, str] | None = None) -> ModelSpec:
    """What the user asked for, merged with what the catalog knows.

    ``temperature``, ``top_p``, ``max_tokens`` and ``stop`` among ``model_args`` are sampling values, ``price_input``,
    ``price_output``, ``price_cached`` and ``price_reasoning`` (US dollars per million tokens) replace the price;
    ``sees=true`` says of a model that the catalog does not know that it takes pictures; all others go to the adapter.

    Raises:
        UsageError: there is no such model or adapter, or a value is not a number.
        UnsupportedParameter: the catalog says that the model refuses a sampling value.
    """
    given = dict(model_args or {})
    refuse_keys(name, given)
    sampling = {key: _sampling_value(key, given.pop(key)) for key in _SAMPLING if key in given}
    price = _given_price({key: given.pop(key) for key in _PRICES if key in given})
    sees = _yes_or_no("sees", given.pop("sees")) if "sees" in given else None
    if entry := find_entry(name):
        spec = _with_facts(ModelSpec(entry.name, entry.adapter, entry.id, {**entry.args, **given}), entry)
    else:
        adapter, model_id = _adapter_and_id(name)
        spec = ModelSpec(name, adapter, model_id, given)
        if same := _same_model(spec):
            spec = _with_facts(spec, same)
    if refused := sorted(spec.fixed & sampling.keys()):
        raise UnsupportedParameter(f"{spec.name} does not take {' and '.join(refused)}; leave the --model-arg out.")
    return dataclasses.replace(
        spec, sampling=sampling, price=price or spec.price, sees=spec.sees if sees is None else sees
    )


def _yes_or_no(key: str, text: str) -> bool:
    if text not in {"true", "false"}:
        raise UsageError(f"{key} is true or false, not '{text}'.")
    return text == "true"


def _sampling_value(key: str, text: str) -> float | int | str:
    try:
        value = _SAMPLING[key](text)
    except ValueError:
        raise UsageError(f"{key}={text} is not a number.") from None
    if (isinstance(value, float) and not 0 <= value <= 2) or (isinstance(value, int) and value < 1):
        raise UsageError(f"{key}={text} is out of range.")
    return value


def _given_price(given: Mapping[str, str]) -> Price | None:
    if not given:
        return None
    try:
        numbers = {key.removeprefix("price_"): float(text) for key, text in given.items()}
    except ValueError:
        raise UsageError(f"A price is in US dollars per million tokens, not {' '.join(given.values())}.") from None
    if not {"input", "output"} <= numbers.keys():
        raise UsageError("A price needs both price_input and price_output.")
    if not all(0 <= number < float("inf") for number in numbers.values()):
        raise UsageError("A price is in US dollars per million tokens and not negative.")
    return Price(
        numbers["input"],
        numbers["output"],
        cached=numbers.get("cached"),
        reasoning=numbers.get("reasoning"),
        source="given by the user",
    )


def _adapter_and_id(name: str) -> tuple[str, str]:
    if in_file := _IN_FILE.fullmatch(name):
        return in_file["adapter"], in_file["id"]
    adapter, slash, model_id = name.partition("/")
    if slash and adapter in adapter_names() and model_id:
        return adapter, model_id
    if slash and adapter in adapter_names():
        raise UsageError(f"'{name}' names no model.", remedy=f"Write {adapter}/ and the model's id.")
    if slash:
        error = unknown_name("adapter", adapter, adapter_names(), listing=_LISTING)
        error.remedy = (
            f"{error.remedy} A server with an OpenAI-compatible API, whichever it is, is asked as "
            f"--model openai/{model_id or 'NAME'} --model-arg base_url=http://HOST:PORT/v1."
        )
        raise error
    names = [known for entry in catalog.known_models() for known in entry.names]
    raise unknown_name("model", name, names, listing=_LISTING)


def _same_model(spec: ModelSpec) -> CatalogEntry | None:
    """The entry about the same model at the same place: its adapter, id and arguments are all in ``spec``."""
    same = [
        entry
        for entry in catalog.known_models()
        if (entry.adapter, entry.id) == (spec.adapter, spec.model_id) and entry.args.items() <= spec.args.items()
    ]
    return max(same, key=lambda entry: len(entry.args), default=None)


def _with_facts(spec: ModelSpec, entry: CatalogEntry) -> ModelSpec:
    price = entry.price.as_price() if entry.price else None
    if price and spec.args.get("base_url") != entry.args.get("base_url"):
        price = dataclasses.replace(price, source=f"{price.source} (list price; asked at another address)")
    return dataclasses.replace(
        spec,
        fixed=frozenset(entry.fixed),
        context_tokens=entry.context_tokens,
        max_output_tokens=entry.max_output_tokens,
        sees=entry.sees,
        price=price,
        concurrency=Concurrency.parse(entry.connections) if entry.connections else None,
    )


def open_model(spec: ModelSpec) -> Model:
    """A model ready to answer.

    Raises:
        ModelUnavailable, UnsupportedParameter: from the adapter, with a remedy.
        PluginError: the adapter cannot be loaded or breaks; the message names it and its error.
    """
    adapter, ours = _load_adapter(spec.adapter)
    _check_arguments(spec, adapter)
    if ours:
        return adapter(spec)
    where = f"The adapter '{spec.adapter}'"
    try:
        model = adapter(spec)
    except SgpbenchError:
        raise
    except Exception as error:
        raise PluginError(f"{where} could not open {spec.model_id}: {type(error).__name__}: {error}.") from error
    if missing := [name for name in _MODEL_HAS if not hasattr(model, name)]:
        raise PluginError(f"{where} returned no model: it lacks {', '.join(missing)}.")
    return model


def adapter_arguments(name: str) -> Mapping[str, str] | None:
    """What the adapter of a model (``adapter/model-id``, or a catalog name) takes: argument → a line for people.

    ``None`` if it declares nothing. Imports the adapter's module, and no provider's SDK.

    Raises:
        UsageError: there is no such adapter. PluginError: it does not load.
    """
    adapter, _ = _load_adapter(resolve(name).adapter)
    return arguments_of(adapter)


def _check_arguments(spec: ModelSpec, adapter: Adapter) -> None:
    declared = arguments_of(adapter)
    if not declared:
        return
    families = tuple(name.removesuffix("NAME") for name in declared if name.endswith(".NAME"))
    for name in spec.args:
        if name in declared or (name.startswith(families) and name not in families):
            continue
        if name in _SYSTEM_PROMPT:
            raise UsageError(
                f"'{name}' decides what every model is asked, so it is no argument of {spec.name}.",
                remedy='It belongs in a protocol file: write system = """...""" under [generation.default] and each '
                f"[generation.tasks.NAME] of it. Copy {root_folder('protocols') / 'v1.toml'}, change its name, and run "
                "with --protocol FILE.toml.",
            )
        known = [one.removesuffix("NAME") if one.endswith(".NAME") else one for one in (*declared, *COMMON_ARGUMENTS)]
        raise unknown_name(
            f"argument of {spec.name}", name, known, listing=f"sgpbench models show {spec.adapter}/{spec.model_id}"
        )


def _load_adapter(name: str) -> tuple[Adapter, bool]:
    """The adapter of that name, and whether it comes with sgpbench."""
    if name in BUILT_IN:
        module, _, function = BUILT_IN[name].partition(":")
        return cast("Adapter", getattr(importlib.import_module(module), function)), True
    if in_file := _IN_FILE.fullmatch(f"{name}/x"):
        return _from_file(Path(in_file["path"]), in_file["function"]), False
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if not points:
        raise unknown_name("adapter", name, adapter_names(), listing=_LISTING)
    if len(points) > 1:
        raise PluginError(f"The adapter '{name}' comes from several packages: {', '.join(map(_origin, points))}.")
    where = f"The adapter '{name}' of {_origin(points[0])}"
    try:
        loaded = points[0].load()
    except SgpbenchError:
        raise
    except Exception as error:
        raise PluginError(f"{where} does not load: {type(error).__name__}: {error}.") from error
    return _checked(loaded, where), False


def _origin(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def _from_file(path: Path, function: str) -> Adapter:
    if not path.is_file():
        raise PluginError(f"There is no adapter file {path}.")
    module = _import_file(path.resolve())
    where = f"{path}:{function}"
    if not hasattr(module, function):
        raise PluginError(f"{path} has no function {function}.")
    return _checked(getattr(module, function), where)


def _import_file(path: Path) -> ModuleType:
    """Imports a file as a module under a name of our own, once per process."""
    module_name = f"sgpbench_adapter_{re.sub(r'[^A-Za-z0-9]', lambda hit: f'_{ord(hit[0]):x}_', str(path))}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except SgpbenchError:
        del sys.modules[module_name]
        raise
    except Exception as error:
        del sys.modules[module_name]
        raise PluginError(f"The adapter file {path} does not load: {type(error).__name__}: {error}.") from error
    return module


def _checked(candidate: object, where: str) -> Adapter:
    if not callable(candidate):
        raise PluginError(f"{where} is no adapter: it cannot be called.")
    return cast("Adapter", candidate)
