"""The encoders' engine, their process, and the cache: what batches, order, crashes and full memories may not change."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from extras import how_to_get
from PIL import Image

pytest.importorskip("torch", reason=how_to_get("metrics"))
pytest.importorskip("transformers", reason=how_to_get("metrics"))

import torch
from encoder_weights import save_clip, save_dinov2

from sgpbench.metrics.embedder import Embedder
from sgpbench.metrics.embedding_cache import MemoryCache
from sgpbench.metrics.encoder_engine import Engine
from sgpbench.metrics.encoder_host import EncoderHost
from sgpbench.metrics.encoder_metric import encoder_spec
from sgpbench.metrics.encoding import Embedded, EmbedImages, EncoderError, EncodersLost, EncoderSpec, ImageItem
from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.preprocess import UNIT, FilterName, Preprocessing, prepared, to_input
from sgpbench.metrics.registry import open_metric
from sgpbench.metrics.weights import WEIGHTS, Found, identify
from sgpbench.protocol import load_protocol
from sgpbench.records import Drawing, Failure, Outcome, Prompt, Reference, Score

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    save_clip(folder / "clip-vit-b-32", seed=1)
    save_dinov2(folder / "dinov2-small", seed=2)
    return folder


def spec(weights: Path, name: str) -> EncoderSpec:
    source = WEIGHTS[name]
    return encoder_spec(identify(source, Found(weights / name / _file(weights, name), None), cache_dir=weights))


def _file(weights: Path, name: str) -> str:
    return next(file for file in WEIGHTS[name].weights if (weights / name / file).is_file())


@pytest.fixture(scope="module")
def clip(weights: Path) -> EncoderSpec:
    return spec(weights, "clip-vit-b-32")


@pytest.fixture(scope="module")
def dino(weights: Path) -> EncoderSpec:
    return spec(weights, "dinov2-small")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[ImageItem]:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(3)
    items = []
    for number in range(70):
        size = [(96, 96), (64, 120), (130, 70)][number % 3]
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        items.append(ImageItem(folder / f"{number}.png"))
    return items


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine("cpu")
    yield engine
    engine.close()


def stacked(embedder: Embedder, specs: list[EncoderSpec], items: list[ImageItem]) -> np.ndarray:
    return np.array([[np.asarray(vector)[:32] for vector in row] for row in embedder.images(specs, items)])


def fresh(engine: Engine | EncoderHost) -> Embedder:
    return Embedder(engine, MemoryCache())


def test_one_at_a_time_equals_all_at_once(
    engine: Engine, clip: EncoderSpec, dino: EncoderSpec, pictures: list[ImageItem]
) -> None:
    together = stacked(fresh(engine), [clip, dino], pictures[:64])
    alone = np.concatenate([stacked(fresh(engine), [clip, dino], [item]) for item in pictures[:64]])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_order_changes_nothing(engine: Engine, clip: EncoderSpec, pictures: list[ImageItem]) -> None:
    forward = stacked(fresh(engine), [clip], pictures)
    backward = stacked(fresh(engine), [clip], pictures[::-1])
    np.testing.assert_allclose(backward[::-1], forward, atol=1e-6)


def test_batches_shrink_when_memory_runs_out_and_the_result_is_the_same(
    clip: EncoderSpec, pictures: list[ImageItem], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tight = Engine("cpu")
    model = tight.model(clip)
    sizes = []
    whole = model.images  # type: ignore[union-attr]

    def with_room_for_five(pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        if len(pixels) > 5:
            raise torch.OutOfMemoryError("out of memory")
        return whole(pixels)

    monkeypatch.setattr(model, "images", with_room_for_five)
    expected = stacked(fresh(engine), [clip], pictures)
    np.testing.assert_allclose(stacked(fresh(tight), [clip], pictures), expected, atol=1e-6)
    assert sizes[:3] == [16, 8, 4]
    assert max(sizes[3:]) == 4
    tight.close()


def test_where_not_even_one_fits_it_is_an_error_and_no_vector(
    clip: EncoderSpec, pictures: list[ImageItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    tight = Engine("cpu")

    def no_room(pixels: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(tight.model(clip), "images", no_room)
    with pytest.raises(EncoderError, match="Not even one item fits"):
        fresh(tight).images([clip], pictures[:3])
    # The next request is answered all the same.
    monkeypatch.undo()
    assert len(fresh(tight).images([clip], pictures[:3])) == 3
    tight.close()


def test_weights_that_do_not_load_say_which_file(engine: Engine, dino: EncoderSpec, tmp_path: Path) -> None:
    import dataclasses

    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    (tmp_path / "config.json").write_text("{}")
    broken = dataclasses.replace(dino, file=str(tmp_path / "model.safetensors"), sha256="0" * 64)
    with pytest.raises(EncoderError, match=r"model\.safetensors do not load"):
        fresh(engine).texts([broken], ["a"])


def test_a_device_that_is_not_here_is_an_error() -> None:
    with pytest.raises(EncoderError, match="'cuda:77' cannot be used here"):
        Engine("cuda:77")


def test_tf32_is_off(engine: Engine) -> None:
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("shape", [(512, 512), (300, 512), (512, 301), (224, 224), (37, 90), (1000, 224), (225, 223)])
@pytest.mark.parametrize("filter_name", ["bilinear", "bicubic"])
@pytest.mark.parametrize("way", ["crop", "squash"])
def test_resizing_in_batches_equals_pillow_to_the_last_bit(
    shape: tuple[int, int], filter_name: FilterName, way: str
) -> None:
    rule = Preprocessing(224, filter_name, "crop" if way == "crop" else "squash", UNIT)
    pixels = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    batch = to_input(torch.from_numpy(pixels), rule)
    levels = ((batch * 0.5 + 0.5) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    for one, many in zip(pixels, levels, strict=True):
        assert np.abs(prepared(one, rule).astype(int) - many).max() == 0


def test_a_process_of_its_own_gives_the_same_vectors_and_ends_with_its_owner(
    engine: Engine, clip: EncoderSpec, pictures: list[ImageItem]
) -> None:
    host = EncoderHost("cpu")
    assert host.pid is None
    embedder = fresh(host)
    np.testing.assert_allclose(
        stacked(embedder, [clip], pictures[:8]), stacked(fresh(engine), [clip], pictures[:8]), atol=1e-6
    )
    assert embedder.texts([clip], ["a dog"])[0][0] == pytest.approx(
        fresh(engine).texts([clip], ["a dog"])[0][0], abs=1e-6
    )
    pid = host.pid
    assert pid is not None
    embedder.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(EncoderError, match="closed"):
        host.call(EmbedImages((clip,), tuple(pictures[:1])))


def test_many_threads_may_ask_at_once(clip: EncoderSpec, dino: EncoderSpec, pictures: list[ImageItem]) -> None:
    host = EncoderHost("cpu")
    answers: dict[int, Embedded] = {}

    def ask(number: int) -> None:
        reply = host.call(EmbedImages((clip, dino)[number % 2 :][:1], tuple(pictures[number : number + 3])))
        assert isinstance(reply, Embedded)
        answers[number] = reply

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = Engine("cpu")
    for number, reply in answers.items():
        expected = alone.call(EmbedImages((clip, dino)[number % 2 :][:1], tuple(pictures[number : number + 3])))
        assert isinstance(expected, Embedded)
        np.testing.assert_allclose(np.array(reply.vectors), np.array(expected.vectors), atol=1e-6)
    assert len(answers) == 8
    alone.close()
    host.close()


def test_a_process_that_was_killed_is_started_again_and_nothing_is_lost(
    clip: EncoderSpec, pictures: list[ImageItem]
) -> None:
    host = EncoderHost("cpu")
    first = host.call(EmbedImages((clip,), tuple(pictures[:4])))
    pid = host.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    again = host.call(EmbedImages((clip,), tuple(pictures[:4])))
    assert isinstance(first, Embedded)
    assert isinstance(again, Embedded)
    np.testing.assert_allclose(np.array(again.vectors), np.array(first.vectors), atol=1e-6)
    assert host.pid not in (None, pid)
    host.close()


def drawings(items: list[ImageItem]) -> list[Drawing]:
    prompt = Prompt("p", "a red dog", "c", "k", reference=Reference(image=items[0].path))
    return [Drawing(prompt, number, Outcome.OK, "<svg/>", item.path, str(number)) for number, item in enumerate(items)]


def test_encoders_that_keep_dying_fail_the_drawings_as_ours_and_a_later_try_scores_them(
    weights: Path, pictures: list[ImageItem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGPBENCH_WEIGHTS_DIR", str(weights))
    context = MetricContext(None, load_protocol("v1"), tmp_path, device="cpu")
    metric = open_metric("clip[fast]", context)

    def dying(host: EncoderHost, request: object) -> Embedded:
        raise EncodersLost("the process of the encoders ended twice (killed by signal 9)")

    with monkeypatch.context() as patch:
        patch.setattr(EncoderHost, "call", dying)
        failures = asyncio.run(metric.score(drawings(pictures[:3])))
    assert [type(one) for one in failures] == [Failure] * 3
    assert all(one.outcome is Outcome.SCORER_ERROR and "killed by signal 9" in one.message for one in failures)  # type: ignore[union-attr]
    later = asyncio.run(metric.score(drawings(pictures[:3])))
    assert all(isinstance(one, Score) for one in later)
    asyncio.run(metric.aclose())


def test_a_damaged_picture_fails_alone(
    weights: Path, pictures: list[ImageItem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGPBENCH_WEIGHTS_DIR", str(weights))
    (tmp_path / "cut.png").write_bytes(pictures[1].path.read_bytes()[:100])
    items = [pictures[0], ImageItem(tmp_path / "cut.png"), ImageItem(tmp_path / "gone.png"), pictures[2]]
    metric = open_metric("clip[fast]", MetricContext(None, load_protocol("v1"), tmp_path, device="cpu"))
    answers = asyncio.run(metric.score(drawings(items)))
    assert [type(one) for one in answers] == [Score, Failure, Failure, Score]
    asyncio.run(metric.aclose())


def test_the_cache_spares_the_encoders_across_runs(
    weights: Path, pictures: list[ImageItem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGPBENCH_WEIGHTS_DIR", str(weights))

    async def score() -> object:
        metric = open_metric("clip[fast]", MetricContext(None, load_protocol("v1"), tmp_path, device="cpu"))
        answers = await metric.score(drawings(pictures[:5]))
        await metric.aclose()
        return answers

    first = asyncio.run(score())

    def never(host: EncoderHost, request: object) -> Embedded:
        raise AssertionError("all of this is known")

    monkeypatch.setattr(EncoderHost, "call", never)
    assert asyncio.run(score()) == first


def test_references_that_are_programs_are_rendered_like_drawings(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sgpbench.metrics import registry
    from sgpbench.svg.sandbox import Sandbox

    monkeypatch.setenv("SGPBENCH_WEIGHTS_DIR", str(weights))
    save_dinov2(tmp_path / "w" / "dinov2-base", seed=9)
    (tmp_path / "w" / "dinov2-small").symlink_to(weights / "dinov2-small")
    monkeypatch.setenv("SGPBENCH_WEIGHTS_DIR", str(tmp_path / "w"))
    program = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="5" height="9" fill="red"/></svg>'
    protocol = load_protocol("v1")
    with Sandbox(protocol.scoring.renderer, "namespaces", workers=1) as sandbox:
        png = sandbox.submit(program).result().png
    assert png is not None
    (tmp_path / "drawing.png").write_bytes(png)
    prompts = [
        Prompt("same", "red", "c", "k", reference=Reference(svg=program)),
        Prompt("missing", "red", "c", "k", reference=Reference(missing="coco-val2017")),
        Prompt("broken", "red", "c", "k", reference=Reference(svg="not a drawing")),
    ]
    batch = [Drawing(prompt, 0, Outcome.OK, program, tmp_path / "drawing.png", "x") for prompt in prompts]
    metric = registry.open_metric("dino[fast]", MetricContext(None, protocol, tmp_path, device="cpu"))
    same, missing, broken = asyncio.run(metric.score(batch))
    asyncio.run(metric.aclose())
    assert isinstance(same, Score)
    assert same.values["dino[fast]"] == pytest.approx(1.0, abs=1e-6)
    assert isinstance(missing, Failure)
    assert "sgpbench data fetch coco-val2017" in missing.message
    assert isinstance(broken, Failure)
