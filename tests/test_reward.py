"""Scoring as a reward: gates, weights, batches, and the signature of a trainer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from extras import how_to_get

pytest.importorskip("torch", reason=how_to_get("metrics"))
pytest.importorskip("transformers", reason=how_to_get("metrics"))

from encoder_weights import save_dinov2, save_siglip
from PIL import Image

from sgpbench.errors import DataError, MetricUnavailable, RendererError, UsageError
from sgpbench.records import Outcome
from sgpbench.reward import SVGReward
from sgpbench.svg.sandbox import Rendered

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.filterwarnings("default")]

ROOT = Path(__file__).resolve().parents[1]
CIRCLE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle cx="4" cy="4" r="3" fill="red"/></svg>'
SQUARE = CIRCLE.replace('<circle cx="4" cy="4" r="3" fill="red"/>', '<rect width="5" height="5" fill="blue"/>')


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    save_siglip(folder / "siglip-base-patch16-384")
    save_dinov2(folder / "dinov2-base")
    return folder


@pytest.fixture(scope="module")
def reward(weights: Path) -> Iterator[SVGReward]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGPBENCH_WEIGHTS_DIR", str(weights))
        with SVGReward(text_weight=0.5, image_weight=2.0, gate=-1.0, device="cpu", render_workers=1) as reward:
            yield reward


@pytest.fixture(scope="module")
def text_reward(weights: Path) -> Iterator[SVGReward]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGPBENCH_WEIGHTS_DIR", str(weights))
        with SVGReward(device="cpu", render_workers=1) as reward:
            yield reward


def given(
    reward: SVGReward, completions: list[object], caption: str = "a red circle", reference: str = CIRCLE
) -> list[float]:
    count = len(completions)
    return reward(
        prompts=["Draw it."] * count,
        completions=completions,  # type: ignore[arg-type]
        completion_ids=[[1]] * count,
        caption=[caption] * count,
        reference=[reference] * count,
        trainer_state=None,
    )


def test_what_gives_no_drawing_gets_the_gate_and_nothing_else_does(reward: SVGReward) -> None:
    values = given(
        reward, ["No.", CIRCLE, "<svg><circle", '<svg xmlns="http://www.w3.org/2000/svg"><g></svg>', "", CIRCLE[:-6]]
    )
    assert [value == -1.0 for value in values] == [True, False, True, True, True, True]


def test_a_drawing_like_its_reference_earns_the_whole_image_weight(reward: SVGReward, text_reward: SVGReward) -> None:
    (value,) = given(reward, [CIRCLE])
    (near_caption,) = given(text_reward, [CIRCLE])
    assert value == pytest.approx(2.0 + 0.5 * near_caption, abs=1e-5)
    assert given(reward, [SQUARE])[0] != pytest.approx(value, abs=1e-3)


def test_texts_chat_messages_and_thoughts_are_read_alike(text_reward: SVGReward) -> None:
    chat = [{"role": "user", "content": SQUARE}, {"role": "assistant", "content": CIRCLE}]
    values = given(
        text_reward, [CIRCLE, chat, f"<think>{SQUARE}</think>Here: {CIRCLE}", [{"role": "assistant", "content": None}]]
    )
    assert values[0] == values[1] == values[2]
    assert values[3] == 0.0


def test_batches_and_order_change_nothing(reward: SVGReward) -> None:
    completions: list[object] = [CIRCLE, "no", SQUARE, CIRCLE.replace("red", "green"), SQUARE]
    together = given(reward, completions)
    assert given(reward, completions[::-1])[::-1] == pytest.approx(together, abs=1e-6)
    assert [given(reward, [one])[0] for one in completions] == pytest.approx(together, abs=1e-6)
    assert given(reward, []) == []


def test_a_reference_may_be_a_picture(reward: SVGReward, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    assert given(reward, [CIRCLE], reference=str(tmp_path / "red.png"))[0] != given(reward, [CIRCLE])[0]
    with pytest.raises(DataError, match=r"gone\.png cannot be read"):
        given(reward, [CIRCLE], reference=str(tmp_path / "gone.png"))


def test_a_missing_column_says_which(reward: SVGReward) -> None:
    with pytest.raises(UsageError, match="needs the column 'caption'"):
        reward(prompts=["Draw."], completions=[CIRCLE], reference=[CIRCLE])
    with pytest.raises(UsageError, match="needs the column 'reference'"):
        reward(prompts=["Draw."], completions=[CIRCLE], caption=["a circle"], reference=[])


def test_a_drawing_that_failed_through_our_own_fault_is_an_error_and_never_the_gate(
    reward: SVGReward, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_program: str) -> Future[Rendered]:
        future: Future[Rendered] = Future()
        future.set_result(Rendered(Outcome.SCORER_ERROR, message="a fault of sgpbench: KeyError"))
        return future

    monkeypatch.setattr(reward._sandbox, "submit", fail)
    assert given(reward, ["No."]) == [-1.0]
    with pytest.raises(RendererError, match="a fault of sgpbench: KeyError"):
        given(reward, ["No.", CIRCLE])


def test_it_has_the_name_that_trainers_log(reward: SVGReward) -> None:
    assert reward.__name__ == "svg_reward"
    assert reward.identity["gate"] == -1.0


def test_encoders_must_exist_and_be_here(weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="text_weight or an image_weight"):
        SVGReward(text_weight=0.0)
    with pytest.raises(UsageError, match="'dinov2-base' is no encoder for this"):
        SVGReward(text_encoders=["dinov2-base"])
    monkeypatch.setenv("SGPBENCH_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(MetricUnavailable, match=r"google/siglip-base-patch16-384/model\.safetensors"):
        SVGReward(device="cpu")


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "mean nothing" in run(str(ROOT / "examples" / "reward_tiny_weights.py"), "tiny")
    monkeypatch.setenv("SGPBENCH_WEIGHTS_DIR", str(tmp_path / "tiny"))
    lines = dict(line.rsplit(maxsplit=1) for line in run(str(ROOT / "examples" / "reward_for_grpo.py")).splitlines())
    assert lines["as asked"] == lines["chat messages"] != lines["wrong colour"]
    assert lines["never closed"] == lines["no drawing"] == "-1.0000"
