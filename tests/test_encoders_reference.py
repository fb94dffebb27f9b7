"""Every metric over encoders equals a straight, unbatched computation with the library its weights were made for.

The weights are tiny and random, saved in the libraries' own formats and loaded by the path that published ones take.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dinov2_positions import interpolated
from extras import how_to_get
from PIL import Image

from sgpbench.metrics.embedder import acquire_embedder, release_embedder
from sgpbench.metrics.interface import Metric, MetricContext
from sgpbench.metrics.registry import open_metric
from sgpbench.metrics.squash import squashed
from sgpbench.protocol import load_protocol
from sgpbench.records import Drawing, Outcome, Prompt, Question, Reference, Score

pytest.importorskip("torch", reason=how_to_get("metrics"))
pytest.importorskip("open_clip", reason=how_to_get("metrics"))

import torch
from encoder_weights import save_all

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.filterwarnings("default")]

CLOSE = 1e-5
LONG = "a red dog and a blue cat on the green grass " * 12
SIZES = [(512, 512), (300, 512), (512, 301), (64, 64), (90, 37), (224, 224)]
QUESTIONS = (
    Question("q1", "is there a dog in the picture?", ("yes", "no"), "yes", "animal"),
    Question("q2", "what color is the sky?", ("red", "blue", "green"), "blue", "color"),
    Question("q3", "how many cat on the table?", ("two", "three"), "two", "counting"),
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = save_all(tmp_path_factory.mktemp("weights"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGPBENCH_WEIGHTS_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def context(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetricContext]:
    context = MetricContext(None, load_protocol("v1"), tmp_path_factory.mktemp("cache"), device="cpu")
    # Holds the encoders open from test to test.
    acquire_embedder(context)
    yield context
    release_embedder(context)


@pytest.fixture(scope="module")
def paper(context: MetricContext) -> MetricContext:
    return dataclasses.replace(context, protocol=load_protocol("paper"))


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> list[Drawing]:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    files = []
    for number, size in enumerate(SIZES):
        # Large patches rather than noise, so that resizing leaves differences between pictures.
        small = rng.integers(0, 256, (7, 5, 3), dtype=np.uint8)
        files.append(folder / f"{number}.png")
        Image.fromarray(small).resize(size[::-1], Image.Resampling.NEAREST).save(files[-1])
    captions = ["a red dog", "two blue cat", LONG, "a table, and a chair!", "THE SKY", "ocean"]
    return [
        Drawing(
            Prompt(
                f"p{number % 2}",
                captions[number],
                "c",
                "k",
                reference=Reference(image=files[(number + 1) % len(files)]),
                questions=QUESTIONS[: 1 + number % 3],
            ),
            number,
            Outcome.OK,
            "<svg/>",
            files[number],
            str(number),
            rendering_without_text=files[0] if number == 3 else None,
        )
        for number in range(len(files))
    ]


def scored(metric: Metric, drawings: Sequence[Drawing]) -> list[Mapping[str, float]]:
    async def run() -> list[Mapping[str, float]]:
        try:
            answers = await metric.score(drawings)
        finally:
            await metric.aclose()
        assert all(isinstance(answer, Score) for answer in answers), answers
        return [answer.values for answer in answers if isinstance(answer, Score)]

    return asyncio.run(run())


def unit(vector: torch.Tensor) -> torch.Tensor:
    return vector / vector.norm(dim=-1, keepdim=True)


def rgb(drawing: Drawing) -> Image.Image:
    assert drawing.rendering is not None
    return Image.open(drawing.rendering).convert("RGB")


class StraightClip:
    def __init__(self, folder: Path) -> None:
        import open_clip

        self.model, _, self.prepare = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        self.model.eval()
        self.tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")

    @torch.no_grad()
    def near(self, image: Image.Image, caption: str) -> float:
        picture = unit(self.model.encode_image(self.prepare(image)[None]))
        words = unit(self.model.encode_text(self.tokenizer([caption])))
        return float((picture * words).sum())


def test_clip(context: MetricContext, weights: Path, drawings: list[Drawing]) -> None:
    straight = [StraightClip(weights / name) for name in ("clip-vit-b-32", "clip-vit-l-14")]
    for values, drawing in zip(scored(open_metric("clip", context), drawings), drawings, strict=True):
        parts = [model.near(rgb(drawing), drawing.prompt.caption) for model in straight]
        assert values["clip.b32"] == pytest.approx(parts[0], abs=CLOSE)
        assert values["clip.l14"] == pytest.approx(parts[1], abs=CLOSE)
        assert values["clip"] == pytest.approx(sum(parts) / 2, abs=CLOSE)
        bare = rgb(drawing) if drawing.rendering_without_text is None else Image.open(drawing.rendering_without_text)
        without = sum(model.near(bare, drawing.prompt.caption) for model in straight) / 2
        assert values["clip_without_text"] == pytest.approx(without, abs=CLOSE)


def test_a_caption_of_more_than_77_tokens_is_cut_and_not_corrupted(
    context: MetricContext, drawings: list[Drawing]
) -> None:
    import open_clip

    tokens = open_clip.SimpleTokenizer()(LONG)[0]
    assert tokens.count_nonzero() == 77
    kept = open_clip.SimpleTokenizer().decode(tokens[1:-1].tolist()).strip()
    cut = dataclasses.replace(drawings[0], prompt=dataclasses.replace(drawings[0].prompt, caption=kept))
    whole = dataclasses.replace(drawings[0], prompt=dataclasses.replace(drawings[0].prompt, caption=LONG))
    one, other = scored(open_metric("clip", context), [cut, whole])
    assert one == other


def test_clip_fast_is_b32_alone_in_columns_of_its_own(context: MetricContext, drawings: list[Drawing]) -> None:
    metric = open_metric("clip[fast]", context)
    assert (metric.name, metric.version) == ("clip[fast]", "1-fast")
    assert [column.name for column in metric.columns] == ["clip[fast]", "clip_without_text[fast]"]
    fast = scored(metric, drawings)
    whole = scored(open_metric("clip", context), drawings)
    assert [values["clip[fast]"] for values in fast] == [values["clip.b32"] for values in whole]


def test_siglip(context: MetricContext, weights: Path, drawings: list[Drawing]) -> None:
    from transformers import SiglipModel, SiglipTokenizer
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    @cache
    def loaded(name: str) -> tuple[Any, Any, Any]:
        folder = str(weights / name)
        prepare = SiglipImageProcessorPil.from_pretrained(folder)
        return SiglipModel.from_pretrained(folder).eval(), prepare, SiglipTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def near(name: str, drawing: Drawing) -> float:
        model, prepare, tokenizer = loaded(name)
        words = tokenizer(
            [drawing.prompt.caption], padding="max_length", truncation=True, max_length=64, return_tensors="pt"
        )
        # Columns first, as Pillow did when the models were published; 13 begins with the rows of some pictures.
        image = rgb(drawing).resize((32, rgb(drawing).height), Image.Resampling.BICUBIC)
        pixels = prepare(image, return_tensors="pt")["pixel_values"]
        output = model(input_ids=words["input_ids"], pixel_values=pixels)
        return float((unit(output.image_embeds) * unit(output.text_embeds)).sum())

    for values, drawing in zip(scored(open_metric("siglip", context), drawings), drawings, strict=True):
        base, large = near("siglip-base-patch16-384", drawing), near("siglip-large-patch16-384", drawing)
        assert values["siglip.base"] == pytest.approx(base, abs=CLOSE)
        assert values["siglip.large"] == pytest.approx(large, abs=CLOSE)
        assert values["siglip"] == pytest.approx((base + large) / 2, abs=CLOSE)


@cache
def loaded_dino(folder: Path) -> Any:
    """A DINOv2 whose positions are those of 16 by 16 patches, interpolated by the formula."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(str(folder)).eval()
    positions = model.embeddings.position_embeddings.detach().numpy()
    model.embeddings.position_embeddings = torch.nn.Parameter(torch.from_numpy(interpolated(positions, 16)))
    return model


def straight_dino(weights: Path, size: str, image: Image.Image) -> torch.Tensor:
    from torchvision import transforms

    prepare = transforms.Compose(
        [
            transforms.Resize(224, transforms.InterpolationMode.BILINEAR),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    model = loaded_dino(weights / f"dinov2-{size}")
    with torch.no_grad():
        return unit(model(pixel_values=prepare(image)[None]).last_hidden_state[0, 0])


@pytest.mark.parametrize("protocol", ["v1", "paper"])
def test_dino(
    protocol: str, context: MetricContext, paper: MetricContext, weights: Path, drawings: list[Drawing]
) -> None:
    chosen = drawings[:4]
    metric = open_metric("dino", context if protocol == "v1" else paper)
    for values, drawing in zip(scored(metric, chosen), chosen, strict=True):
        assert drawing.prompt.reference is not None
        assert drawing.prompt.reference.image is not None
        reference = Image.open(drawing.prompt.reference.image)
        if protocol == "paper":
            reference = Image.fromarray(squashed(np.asarray(reference.convert("RGB")), 224))
        near = [
            float(straight_dino(weights, size, rgb(drawing)) @ straight_dino(weights, size, reference))
            for size in ("small", "base", "large", "giant")
        ]
        assert [values[f"dino.{part}"] for part in "sblg"] == pytest.approx(near, abs=CLOSE)
        assert values["dino"] == pytest.approx(sum(near) / 4, abs=CLOSE)


def test_diversity(context: MetricContext, weights: Path, drawings: list[Drawing]) -> None:
    chosen = [drawing for drawing in drawings if drawing.prompt.id == "p0"]
    assert len(chosen) == 3
    (values,) = scored(open_metric("diversity", context), chosen)
    spread = []
    for size in ("small", "base", "large", "giant"):
        vectors = [straight_dino(weights, size, rgb(drawing)) for drawing in chosen]
        near = [float(one @ other) for one, other in itertools.combinations(vectors, 2)]
        spread.append(1 - sum(near) / len(near))
    assert [values[f"diversity.{part}"] for part in "sblg"] == pytest.approx(spread, abs=CLOSE)
    assert values["diversity"] == pytest.approx(sum(spread) / 4, abs=CLOSE)
    assert scored(open_metric("diversity", context), chosen[::-1]) == [values]
    assert scored(open_metric("diversity", context), chosen[:1]) == [{}]


@pytest.mark.parametrize("protocol", ["v1", "paper"])
def test_hps(
    protocol: str, context: MetricContext, paper: MetricContext, weights: Path, drawings: list[Drawing], tmp_path: Path
) -> None:
    import open_clip
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as vision

    folder = weights / "hps-v2.1"
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    model.load_state_dict(torch.load(folder / "HPS_v2.1_compressed.pt", weights_only=True)["state_dict"])
    model.eval()
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    chosen = context if protocol == "v1" else paper
    metric = open_metric("hps", chosen)
    assert metric.columns[0].invalid == ("zero" if protocol == "v1" else "omit")
    # Under paper the drawings of one prompt are scored together.
    each = (
        scored(metric, drawings)
        if protocol == "v1"
        else [scored(open_metric("hps", chosen), [drawing])[0] for drawing in drawings]
    )
    for values, drawing in zip(each, drawings, strict=True):
        image = rgb(drawing)
        if protocol == "paper":
            image.save(tmp_path / "it.jpg", quality=75)
            image = Image.open(tmp_path / "it.jpg")
        pixels = vision.to_tensor(image)
        height, width = pixels.shape[1:]
        size = [round(side * 64 / max(height, width)) for side in (height, width)]
        pixels = vision.resize(pixels, size, InterpolationMode.BICUBIC, antialias=True)
        down, right = 64 - size[0], 64 - size[1]
        pixels = vision.pad(pixels, [right // 2, down // 2, right - right // 2, down - down // 2], fill=0)
        with torch.no_grad():
            picture = unit(model.encode_image(vision.normalize(pixels, mean, std)[None]))
            words = unit(model.encode_text(open_clip.SimpleTokenizer()([drawing.prompt.caption])))
        assert values["hps"] == pytest.approx(float((picture * words).sum()), abs=CLOSE)


@cache
def straight_blip(folder: Path) -> tuple[Any, Any, Any]:
    from transformers import AutoTokenizer, BlipForQuestionAnswering
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    model = BlipForQuestionAnswering.from_pretrained(str(folder)).eval()
    return model, AutoTokenizer.from_pretrained(str(folder)), BlipImageProcessorPil.from_pretrained(str(folder))


@torch.no_grad()
def straight_answer(folder: Path, image: Image.Image, question: str) -> str:
    model, tokenizer, prepare = straight_blip(folder)
    tokens = tokenizer(question, return_tensors="pt", return_token_type_ids=False)
    pixels = prepare(image, return_tensors="pt")["pixel_values"]
    said = model.generate(pixel_values=pixels, **tokens, max_new_tokens=20, num_beams=1, do_sample=False)
    return str(tokenizer.decode(said[0][1:], skip_special_tokens=True)).strip()


def test_vqa_by_blip(context: MetricContext, weights: Path, drawings: list[Drawing]) -> None:
    from sentence_transformers import SentenceTransformer

    sentences = SentenceTransformer(str(weights / "all-mpnet-base-v2"), device="cpu")
    metric = open_metric("vqa", context)
    assert metric.name == "vqa[blip-large]"

    async def run() -> Sequence[object]:
        answers = await metric.score(drawings)
        await metric.aclose()
        return answers

    heard = set()
    for score, drawing in zip(asyncio.run(run()), drawings, strict=True):
        assert isinstance(score, Score)
        right = 0
        for question in drawing.prompt.questions:
            said = straight_answer(weights / "blip-large", rgb(drawing), question.text)
            heard.add(said)
            kept = score.evidence["vqa[blip-large]"]["questions"][question.id]  # type: ignore[index, call-overload]
            assert kept["said"] == said  # type: ignore[index, call-overload]
            choice = said
            if said not in question.choices:
                near = sentences.similarity(sentences.encode([said]), sentences.encode(list(question.choices)))
                choice = question.choices[int(near.argmax())]
            assert kept["choice"] == choice  # type: ignore[index, call-overload]
            right += choice == question.answer
        assert score.values["vqa[blip-large]"] == pytest.approx(right / len(drawing.prompt.questions), abs=1e-6)
    assert len(heard) > 1


def test_under_paper_only_the_last_valid_drawing_of_a_prompt_answers(
    paper: MetricContext, drawings: list[Drawing]
) -> None:
    chosen = [drawing for drawing in drawings if drawing.prompt.id == "p1"]
    metric = open_metric("vqa", paper)
    assert (metric.unit, metric.columns[0].invalid) == ("prompt", "omit")
    last = scored(metric, chosen[-1:])
    assert scored(open_metric("vqa", paper), chosen) == last
    assert scored(open_metric("vqa", paper), chosen[::-1]) == last


def test_scores_made_with_unknown_weights_say_so(context: MetricContext) -> None:
    for name in ("clip", "siglip", "dino", "hps", "vqa", "diversity"):
        metric = open_metric(name, context)
        assert metric.identity["published"] is False
        assert "custom" in str(metric.identity)
        asyncio.run(metric.aclose())


def test_bf16_is_another_version_near_the_published_one(context: MetricContext, drawings: list[Drawing]) -> None:
    metric = open_metric("dino[bf16,fast]", context)
    assert (metric.name, metric.version) == ("dino[fast,bf16]", "2-fast,bf16")
    half = scored(metric, drawings)
    full = scored(open_metric("dino[fast]", context), drawings)
    assert [values["dino[fast,bf16]"] for values in half] != [values["dino[fast]"] for values in full]
    assert [values["dino[fast,bf16]"] for values in half] == pytest.approx(
        [values["dino[fast]"] for values in full], abs=0.02
    )
