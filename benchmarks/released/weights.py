"""Tiny random encoders that our code and the released code load alike: the same numbers, each in its own format.

Made with the libraries of this project's environment. ``ours/`` is a folder for ``SGPBENCH_WEIGHTS_DIR``; ``theirs/``
holds what the released code loads: folders with the names of hub repositories, and state dicts for the models that it gets
elsewhere.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import encoder_weights

__all__ = ["save_weights"]

_CLIP = {"clip-vit-b-32": ("ViT-B/32", 32), "clip-vit-l-14": ("ViT-L/14", 28)}
_DINO = {"small": "s", "base": "b", "large": "l", "giant": "g"}
_HUB = {
    "siglip-base-patch16-384": "google/siglip-base-patch16-384",
    "siglip-large-patch16-384": "google/siglip-large-patch16-384",
    "blip-large": "Salesforce/blip-vqa-capfilt-large",
    "all-mpnet-base-v2": "sentence-transformers/all-mpnet-base-v2",
}
State = dict[str, torch.Tensor]


def save_weights(folder: Path) -> None:
    """Writes ``ours/`` and ``theirs/`` under ``folder``."""
    ours, theirs = folder / "ours", folder / "theirs"
    theirs.mkdir(parents=True)
    for seed, (name, (_, patch)) in enumerate(_CLIP.items()):
        _save_clip(ours / name, theirs / f"{name}.pt", patch, seed)
    _save_hps(ours / "hps-v2.1", theirs / "hps.pt")
    for seed, (size, letter) in enumerate(_DINO.items()):
        _save_dino(ours / f"dinov2-{size}", theirs / f"dinov2_vit{letter}14.pt", seed, giant=size == "giant")
    encoder_weights.save_siglip(ours / "siglip-base-patch16-384", seed=20)
    encoder_weights.save_siglip(ours / "siglip-large-patch16-384", seed=21)
    encoder_weights.save_blip(ours / "blip-large", seed=30)
    _make_short_spoken(ours / "blip-large")
    encoder_weights.save_sentences(ours / "all-mpnet-base-v2", seed=40)
    for size in ("base", "large"):
        _name_inputs(ours / f"siglip-{size}-patch16-384")
    for name, hub in _HUB.items():
        shutil.copytree(ours / name, theirs / hub)
        _for_older_transformers(theirs / hub)
    _spell_out_tied_weights(theirs / _HUB["blip-large"])


def _name_inputs(folder: Path) -> None:
    """Says of a SigLIP's tokenizer, as the published ones do, that the model takes no attention mask."""
    file = folder / "tokenizer_config.json"
    settings: dict[str, Any] = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(settings | {"model_input_names": ["input_ids"]}), "utf-8")


def _for_older_transformers(folder: Path) -> None:
    """Tokenizers' settings that transformers 5 writes in a way that transformers 4 cannot read."""
    file = folder / "tokenizer_config.json"
    if file.is_file():
        settings: dict[str, Any] = json.loads(file.read_text("utf-8"))
        settings.pop("extra_special_tokens", None)
        if settings.get("tokenizer_class") == "TokenizersBackend":
            settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        file.write_text(json.dumps(settings), "utf-8")


_SEPARATOR = 3
"""The token that ends an answer, in the tiny vocabulary."""


def _make_short_spoken(folder: Path) -> None:
    """Has a BLIP end most of its answers after a few tokens, as trained ones do; random ones never end."""
    state = load_file(folder / "model.safetensors")
    (bias,) = (name for name in state if name.endswith("cls.predictions.bias"))
    state[bias][_SEPARATOR] += 2.0
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def _spell_out_tied_weights(folder: Path) -> None:
    """Adds what transformers 5 leaves out of a BLIP because another weight has the same values."""
    state = load_file(folder / "model.safetensors")
    decoder = "text_decoder.cls.predictions.decoder"
    state.setdefault(f"{decoder}.weight", state["text_decoder.bert.embeddings.word_embeddings.weight"].clone())
    state.setdefault(f"{decoder}.bias", state["text_decoder.cls.predictions.bias"].clone())
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def _lively(state: State, seed: int) -> State:
    """Random values as large as trained ones, so that pictures and texts come out far apart. Whole in float16."""
    torch.manual_seed(seed)
    made: State = {}
    for name, value in state.items():
        if not value.is_floating_point():
            made[name] = value.clone()
            continue
        if value.dim() < 2:
            made[name] = value.half().float()
            continue
        fan = value[0].numel()
        spread = 0.5 if "embed" in name or "token" in name else 1.5 / fan**0.5
        made[name] = (torch.randn_like(value) * spread).half().float()
    return made


def _save_clip(folder: Path, theirs: Path, patch: int, seed: int) -> None:
    """open_clip's format, and OpenAI's state dict, whose names are the same."""
    import open_clip

    folder.mkdir(parents=True)
    config = {
        "embed_dim": 64,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 224, "layers": 2, "width": 128, "head_width": 64, "patch_size": patch},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    state = {name: value.contiguous() for name, value in _lively(model.state_dict(), seed).items()}
    save_file(state, folder / "open_clip_model.safetensors")
    torch.save(state, theirs)


def _save_hps(folder: Path, theirs: Path) -> None:
    """open_clip's format; the released package has a copy of open_clip of its own."""
    import open_clip

    folder.mkdir(parents=True)
    config = {
        "embed_dim": 64,
        "quick_gelu": False,
        "vision_cfg": {"image_size": 224, "layers": 2, "width": 128, "head_width": 64, "patch_size": 28},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    state = _lively(model.state_dict(), 7)
    torch.save({"state_dict": state}, folder / "HPS_v2.1_compressed.pt")
    torch.save({"state_dict": state, "config": config}, theirs)


def _save_dino(folder: Path, theirs: Path, seed: int, *, giant: bool) -> None:
    """transformers' format, and the names of DINOv2's own code. Trained on 37 by 37 patches, like the published ones."""
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=4,
        image_size=518,
        patch_size=14,
        use_swiglu_ffn=giant,
    )
    model: Any = Dinov2Model(config).eval()
    model.load_state_dict(_lively(model.state_dict(), 100 + seed))
    model.save_pretrained(folder)
    torch.save(_hub_names(model.state_dict()), theirs)


def _hub_names(state: State) -> State:
    """transformers' names of a DINOv2's weights as those of facebookresearch/dinov2."""
    plain = {
        "embeddings.cls_token": "cls_token",
        "embeddings.mask_token": "mask_token",
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection": "patch_embed.proj",
        "layernorm": "norm",
    }
    inner = {
        "norm1": "norm1",
        "norm2": "norm2",
        "attention.o_proj": "attn.proj",
        "layer_scale1.lambda1": "ls1.gamma",
        "layer_scale2.lambda1": "ls2.gamma",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
        "mlp.down_proj": "mlp.w3",
    }
    joined = {
        "attn.qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
        "mlp.w12": ("mlp.gate_proj", "mlp.up_proj"),
    }
    renamed: State = {}
    for name, value in state.items():
        if not name.startswith("encoder.layer."):
            old = next(old for old in sorted(plain, key=len, reverse=True) if name.startswith(old))
            renamed[plain[old] + name.removeprefix(old)] = value
            continue
        number, _, rest = name.removeprefix("encoder.layer.").partition(".")
        if old := next((old for old in inner if rest.startswith(old)), None):
            renamed[f"blocks.{number}.{inner[old]}{rest.removeprefix(old)}"] = value
            continue
        whole, parts = next((new, old) for new, old in joined.items() if rest.startswith(old))
        kind = rest.rpartition(".")[2]
        values = [state[f"encoder.layer.{number}.{part}.{kind}"] for part in parts]
        renamed[f"blocks.{number}.{whole}.{kind}"] = torch.cat(values)
    return renamed
