"""The encoders themselves, one class per model family, each through the library its weights were published for.

Imports torch: only ``encoder_engine`` loads this module, most often in a process of its own. All vectors come out as
float32 of length 1.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch
from safetensors import SafetensorError
from torch.nn import functional

from sgpbench.metrics.encoding import EncoderError, EncoderSpec
from sgpbench.metrics.preprocess import IMAGENET, OPENAI, UNIT, Preprocessing

__all__ = [
    "Answering",
    "Dinov2",
    "LoadedModel",
    "Sentences",
    "TowersForImages",
    "TowersForTexts",
    "load_model",
    "published_positions",
]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_POSITION_OFFSET = 0.1
"""DINOv2's ``interpolate_offset``; the models with registers, which are not used here, have none."""
_LOADING_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ImportError,
    SafetensorError,
    pickle.UnpicklingError,
)
"""What the libraries raise over files that are damaged, cut short, or of another model."""


class TowersForImages(Protocol):
    """A model that embeds pictures."""

    preprocessing: Preprocessing

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """``(n, 3, size, size) float32`` to ``(n, d) float32``."""


class TowersForTexts(Protocol):
    """A model that embeds texts."""

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """``n`` texts to ``(n, d) float32``; what is too long is cut as the model's own library does."""


class OpenClip:
    """CLIP and HPSv2 by open_clip."""

    def __init__(self, spec: EncoderSpec, device: torch.device) -> None:
        import open_clip

        folder = Path(spec.file).parent
        described = (folder / "open_clip_config.json").is_file()
        model = open_clip.create_model(
            f"local-dir:{folder}" if described else spec.architecture,
            load_weights=False,
            force_quick_gelu=spec.architecture.endswith("-quickgelu"),
        )
        if _is_torchscript(spec.file):
            _load_torchscript(model, spec.file)
        else:
            open_clip.load_checkpoint(model, spec.file)
        self._model = model.to(device, _DTYPES[spec.precision]).eval()
        self._device, self._dtype = device, _DTYPES[spec.precision]
        self._tokenizer = open_clip.SimpleTokenizer(context_length=model.context_length)
        size = model.visual.image_size
        side = int(size[0] if isinstance(size, tuple | list) else size)
        self.preprocessing = Preprocessing(side, "bicubic", spec.view, OPENAI)

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """See ``TowersForImages``."""
        return _unit(self._model.encode_image(pixels.to(self._dtype)))

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """See ``TowersForTexts``."""
        return _unit(self._model.encode_text(self._tokenizer(list(texts)).to(self._device)))


def _is_torchscript(file: str) -> bool:
    """OpenAI published its weights as compiled programs."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any("/code/" in name for name in archive.namelist())


def _load_torchscript(model: torch.nn.Module, file: str) -> None:
    loading: Any = torch.jit
    state = loading.load(file, map_location="cpu").float().state_dict()
    for not_weights in ("input_resolution", "context_length", "vocab_size"):
        state.pop(not_weights, None)
    model.load_state_dict(state)


class Siglip:
    """SigLIP by transformers; texts are padded to 64 tokens, as it was trained."""

    def __init__(self, spec: EncoderSpec, device: torch.device) -> None:
        from transformers import AutoTokenizer, SiglipModel

        folder = str(Path(spec.file).parent)
        model: Any = SiglipModel.from_pretrained(folder, dtype=_DTYPES[spec.precision], local_files_only=True)
        self._model = model.to(device).eval()
        self._device, self._dtype = device, _DTYPES[spec.precision]
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._tokens = int(model.config.text_config.max_position_embeddings)
        self.preprocessing = Preprocessing(int(model.config.vision_config.image_size), "bicubic", "squash", UNIT)

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """See ``TowersForImages``."""
        return _unit(self._model.vision_model(pixel_values=pixels.to(self._dtype)).pooler_output)

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """See ``TowersForTexts``."""
        tokens = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self._tokens, return_tensors="pt"
        )
        return _unit(self._model.text_model(input_ids=tokens["input_ids"].to(self._device)).pooler_output)


class Dinov2:
    """DINOv2 by transformers: the class token after the final norm.

    Positions are interpolated as by the published model (``published_positions``), which transformers does not do.
    """

    preprocessing = Preprocessing(224, "bilinear", "crop", IMAGENET)

    def __init__(self, spec: EncoderSpec, device: torch.device) -> None:
        from transformers import Dinov2Model

        folder = str(Path(spec.file).parent)
        model: Any = Dinov2Model.from_pretrained(folder, dtype=_DTYPES[spec.precision], local_files_only=True)
        embeddings = model.embeddings
        side = self.preprocessing.size // int(model.config.patch_size)
        # With as many positions as the input has patches, transformers uses them as they are.
        embeddings.position_embeddings = torch.nn.Parameter(
            published_positions(embeddings.position_embeddings.detach(), side), requires_grad=False
        )
        self._model, self._dtype = model.to(device).eval(), _DTYPES[spec.precision]

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """See ``TowersForImages``."""
        return _unit(self._model(pixel_values=pixels.to(self._dtype)).pooler_output)


def published_positions(positions: torch.Tensor, side: int) -> torch.Tensor:
    """A DINOv2's position embeddings for pictures of ``side`` by ``side`` patches, as its own code interpolates them.

    That code (facebookresearch/dinov2, which torch.hub loads) gives the interpolation a scale of (side + 0.1) / trained
    instead of the size alone, and both decide where it samples.

    Args:
        positions: ``(1, 1 + trained * trained, d)``, the class token's first.
        side: Patches along a side of the input.

    Returns:
        ``(1, 1 + side * side, d)`` of the same type; the same values where the input is as in training.
    """
    trained = math.isqrt(positions.shape[1] - 1)
    if trained == side:
        return positions
    dimension = positions.shape[2]
    grid = positions[:, 1:].to(torch.float32).reshape(1, trained, trained, dimension).permute(0, 3, 1, 2)
    scale = (side + _POSITION_OFFSET) / trained
    grid = functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    patches = grid.permute(0, 2, 3, 1).reshape(1, side * side, dimension).to(positions.dtype)
    return torch.cat((positions[:, :1], patches), dim=1)


class Sentences:
    """Sentence embeddings by sentence-transformers."""

    def __init__(self, spec: EncoderSpec, device: torch.device) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(Path(spec.file).parent), device=str(device), local_files_only=True)
        self._model.to(_DTYPES[spec.precision]).eval()

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """See ``TowersForTexts``."""
        return _unit(self._model.encode(list(texts), convert_to_tensor=True, show_progress_bar=False))


class Answering:
    """BLIP for visual question answering, by transformers; greedy and free-form."""

    def __init__(self, spec: EncoderSpec, device: torch.device) -> None:
        from transformers import AutoTokenizer, BlipForQuestionAnswering

        folder = str(Path(spec.file).parent)
        model: Any = BlipForQuestionAnswering.from_pretrained(
            folder, dtype=_DTYPES[spec.precision], local_files_only=True
        )
        self._model = model.to(device).eval()
        self._device, self._dtype = device, _DTYPES[spec.precision]
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._limit = int(model.config.text_config.max_position_embeddings)
        self.preprocessing = Preprocessing(int(model.config.vision_config.image_size), "bicubic", "squash", OPENAI)

    def look(self, pixels: torch.Tensor) -> torch.Tensor:
        """What the model sees: ``(n, 3, size, size) float32`` to ``(n, patches, d)``; once per picture, for all questions."""
        seen: torch.Tensor = self._model.vision_model(pixel_values=pixels.to(self._dtype)).last_hidden_state
        return seen

    def tokens(self, question: str) -> int:
        """How many tokens a question has."""
        return len(self._tokenizer(question, truncation=True, max_length=self._limit)["input_ids"])

    def answer(self, seen: torch.Tensor, questions: Sequence[str], most_tokens: int) -> list[str]:
        """One answer per question, each cut at ``most_tokens``; ``seen`` holds a row for each question.

        All questions must have the same number of tokens: transformers 5 lets the answer look at padding.
        """
        tokens = self._tokenizer(list(questions), truncation=True, max_length=self._limit, return_tensors="pt").to(
            self._device
        )
        patches = torch.ones(seen.shape[:2], dtype=torch.long, device=self._device)
        understood = self._model.text_encoder(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            encoder_hidden_states=seen,
            encoder_attention_mask=patches,
        ).last_hidden_state
        start = torch.full((len(questions), 1), self._model.decoder_start_token_id, device=self._device)
        config = self._model.config.text_config
        said = self._model.text_decoder.generate(
            input_ids=start,
            eos_token_id=config.sep_token_id,
            pad_token_id=config.pad_token_id,
            encoder_hidden_states=understood,
            encoder_attention_mask=tokens["attention_mask"],
            num_beams=1,
            do_sample=False,
            max_new_tokens=most_tokens,
        )
        return [str(self._tokenizer.decode(row[1:], skip_special_tokens=True)).strip() for row in said]


LoadedModel: TypeAlias = OpenClip | Siglip | Dinov2 | Sentences | Answering


def load_model(spec: EncoderSpec, device: torch.device) -> LoadedModel:
    """The model of a spec on a device, ready to use.

    Raises:
        EncoderError: its files do not load; the message names the file and the library's own words.
    """
    kinds: dict[str, type[LoadedModel]] = {
        "open_clip": OpenClip,
        "siglip": Siglip,
        "dinov2": Dinov2,
        "sentence": Sentences,
        "blip": Answering,
    }
    try:
        return kinds[spec.family](spec, device)
    except torch.OutOfMemoryError:
        raise
    except _LOADING_ERRORS as error:
        words = str(error).strip().splitlines()
        raise EncoderError(
            f"The weights {spec.file} do not load: {type(error).__name__}: {words[0] if words else ''}"
        ) from error


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return functional.normalize(vectors.to(torch.float32), dim=-1)
