"""From a name on the command line to a model: the catalog, adapters, plugins that work and plugins that do not."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from sgpbench.errors import PluginError, SgpbenchError, UnsupportedParameter, UsageError
from sgpbench.models import registry
from sgpbench.models.interface import ModelSpec
from sgpbench.models.registry import adapter_names, open_model, resolve

WORKING = """
from sgpbench.models.baseline import open_baseline
from dataclasses import replace
def open_mine(spec):
    return open_baseline(replace(spec, adapter="baseline", model_id="blank"))
def open_half(spec):
    return object()
def open_broken(spec):
    raise KeyError("weights")
NOT_CALLABLE = 3
"""


@pytest.fixture
def adapter_file(tmp_path: Path) -> Path:
    path = tmp_path / "my_adapter.py"
    path.write_text(WORKING, "utf-8")
    return path


def test_a_catalog_name_brings_its_facts_and_arguments_and_the_users_come_on_top() -> None:
    spec = resolve("smollm2-135m", {"temperature": "0.5", "max_tokens": "9", "context": "512"})
    assert (spec.name, spec.adapter, spec.max_output_tokens) == ("smollm2-135m", "llamacpp", 192)
    assert spec.sampling == {"temperature": 0.5, "max_tokens": 9}
    assert spec.args == {"prompt_format": "few-shot-svg", "min_p": "0.2", "context": "512"}


def test_adapter_and_id_split_at_the_first_slash() -> None:
    spec = resolve("vllm//some/folder")
    assert (spec.name, spec.adapter, spec.model_id) == ("vllm//some/folder", "vllm", "/some/folder")


def test_an_id_that_the_catalog_knows_brings_its_price() -> None:
    known = resolve("gpt-4o-mini")
    assert known.price is not None
    assert resolve(f"openai/{known.model_id}").price == known.price
    assert resolve("openai/gpt-of-tomorrow").price is None


def test_the_price_says_when_another_address_is_asked() -> None:
    price = resolve("gpt-4o-mini", {"base_url": "http://127.0.0.1:1/v1"}).price
    assert price is not None
    assert "another address" in str(price.source)


def test_the_user_may_give_a_price() -> None:
    price = resolve("openai/x", {"price_input": "1", "price_output": "2.5"}).price
    assert price is not None
    assert (price.input, price.output, price.cached) == (1, 2.5, None)


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("smollm", {}, r"no model named 'smollm'\. Did you mean smollm2-135m"),
        ("opnai/gpt-4o", {}, "no adapter named 'opnai'. Did you mean openai"),
        ("openai/", {}, "names no model"),
        ("gpt-4o", {"temperature": "warm"}, "temperature=warm is not a number"),
        ("gpt-4o", {"temperature": "-1"}, "out of range"),
        ("gpt-4o", {"max_tokens": "0"}, "out of range"),
        ("gpt-4o", {"price_input": "1"}, "needs both"),
        ("gpt-4o", {"price_input": "x", "price_output": "1"}, "US dollars per million tokens"),
        ("gpt-4o", {"price_input": "-1", "price_output": "1"}, "not negative"),
    ],
)
def test_what_does_not_exist_or_fit_is_a_usage_error(name: str, args: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        resolve(name, args)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_value_the_model_fixes_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedParameter, match="temperature"):
        resolve("o3", {"temperature": "0.5"})


def test_every_built_in_adapter_is_where_the_table_says() -> None:
    import importlib

    for place in registry.BUILT_IN.values():
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_resolving_imports_no_sdk() -> None:
    script = (
        "import sys; from sgpbench.models.registry import resolve, known_models; resolve('gpt-4o'); known_models();"
        "print([name for name in ('openai', 'anthropic', 'google.genai', 'xllamacpp', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_adapter_comes_from_a_file(adapter_file: Path) -> None:
    model = open_model(resolve(f"{adapter_file}:open_mine/any/id"))
    assert model.accepts
    assert resolve(f"{adapter_file}:open_mine/any/id").model_id == "any/id"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("open_half", "returned no model: it lacks name, accepts"),
        ("open_broken", "could not open x: KeyError: 'weights'"),
        ("NOT_CALLABLE", "cannot be called"),
        ("missing", "has no function missing"),
    ],
)
def test_a_broken_adapter_names_itself_and_its_error(adapter_file: Path, function: str, words: str) -> None:
    with pytest.raises(PluginError, match=words) as caught:
        open_model(resolve(f"{adapter_file}:{function}/x"))
    assert "my_adapter.py" in str(caught.value)


def test_a_file_that_does_not_load_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("import nothing_of_this_name", "utf-8")
    with pytest.raises(PluginError, match=r"bad\.py does not load: ModuleNotFoundError"):
        open_model(resolve(f"{path}:open_it/x"))
    with pytest.raises(PluginError, match="no adapter file"):
        open_model(resolve(f"{tmp_path}/gone.py:open_it/x"))


def test_a_broken_package_takes_nothing_else_down(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "nothing_of_this_name:open_it", registry.GROUP)
    working = EntryPoint("working", "sgpbench.models.baseline:open_baseline", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken, working])
    assert {"broken", "working", "openai"} <= set(adapter_names())
    assert open_model(resolve("working/blank")).accepts
    with pytest.raises(PluginError, match="The adapter 'broken' of nothing_of_this_name:open_it does not load"):
        open_model(resolve("broken/x"))


def test_two_packages_with_one_name_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("twice", f"package_{letter}:open_it", registry.GROUP) for letter in "ab"]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    with pytest.raises(PluginError, match="package_a:open_it, package_b:open_it"):
        open_model(resolve("twice/x"))


def test_an_adapter_that_nobody_has_is_an_error() -> None:
    with pytest.raises(SgpbenchError, match="no adapter named 'none'"):
        open_model(ModelSpec("none/x", "none", "x"))
