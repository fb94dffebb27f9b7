"""Tiny encoders with random weights, saved in the formats of the libraries that published ones come in."""

from __future__ import annotations

import io
import json
from pathlib import Path

WORDS = """
yes no red blue green two three four dog cat man woman a the is what color how many there of in picture circle square
left right on top table chair sky ocean grass none other
""".split()  # noqa: SIM905


def save_clip(
    folder: Path, *, seed: int = 0, file: str = "open_clip_model.safetensors", quick_gelu: bool = True
) -> None:
    """An open_clip model of 64-pixel pictures with open_clip's own tokenizer."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    config = {
        "embed_dim": 32,
        "quick_gelu": quick_gelu,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
    }
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    if file.endswith(".safetensors"):
        save_file(state, folder / file)
    else:
        torch.save({"state_dict": state}, folder / file)


def save_dinov2(folder: Path, *, seed: int = 0, width: int = 48) -> None:
    """A DINOv2 of patch 14."""
    import torch
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(seed)
    config = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=70,
        patch_size=14,
    )
    Dinov2Model(config).eval().save_pretrained(folder)


def save_siglip(folder: Path, *, seed: int = 0) -> None:
    """A SigLIP of 32-pixel pictures and 64 tokens, with a tokenizer trained on a few words."""
    import sentencepiece
    import torch
    from transformers import SiglipConfig, SiglipModel, SiglipTextConfig, SiglipVisionConfig

    torch.manual_seed(seed)
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = SiglipTextConfig(vocab_size=90, max_position_embeddings=64, bos_token_id=0, eos_token_id=1, **small)
    vision = SiglipVisionConfig(image_size=32, patch_size=16, **small)
    config = SiglipConfig(text_config=text.to_dict(), vision_config=vision.to_dict())
    SiglipModel(config).eval().save_pretrained(folder)
    pieces = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS)] * 20),
        model_writer=pieces,
        vocab_size=90,
        pad_id=-1,
        bos_id=0,
        eos_id=1,
        unk_id=2,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(pieces.getvalue())
    tokenizer = {"tokenizer_class": "SiglipTokenizer", "model_max_length": 64, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (folder / "special_tokens_map.json").write_text(
        json.dumps({"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"})
    )
    prepare = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 32, "width": 32}, "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepare))


def save_blip(folder: Path, *, seed: int = 0) -> None:
    """A BLIP for questions about 32-pixel pictures, with a BERT tokenizer of a few words.

    As in the published ones, the model knows two tokens more than its tokenizer: the start of an answer, of a question.
    """
    import torch
    from transformers import BlipConfig, BlipForQuestionAnswering, BlipTextConfig, BlipVisionConfig

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "?"]
    torch.manual_seed(seed)
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = BlipTextConfig(
        vocab_size=len(vocabulary) + 2,
        encoder_hidden_size=32,
        max_position_embeddings=64,
        bos_token_id=len(vocabulary),
        pad_token_id=0,
        eos_token_id=3,
        sep_token_id=3,
        is_decoder=True,
        initializer_range=0.4,
        **small,
    )
    vision = BlipVisionConfig(image_size=32, patch_size=16, **small)
    config = BlipConfig(text_config=text.to_dict(), vision_config=vision.to_dict())
    BlipForQuestionAnswering(config).eval().save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64})
    )
    prepare = {"image_processor_type": "BlipImageProcessor", "size": {"height": 32, "width": 32}, "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepare))


def save_sentences(folder: Path, *, seed: int = 0) -> None:
    """A sentence embedder: a small BERT and the mean of its tokens."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(seed)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"abcdefghijklmnopqrstuvwxyz"]
    vocabulary += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    inner = folder.parent / f"{folder.name}-bert"
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    BertModel(config).eval().save_pretrained(inner)
    (inner / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(inner / "vocab.txt")).save_pretrained(inner)
    transformer = Transformer(str(inner), max_seq_length=32)
    pooling = Pooling(32)
    SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu").save(str(folder))


def save_all(folder: Path) -> Path:
    """A folder for ``SGPBENCH_WEIGHTS_DIR`` with every encoder."""
    save_clip(folder / "clip-vit-b-32", seed=1)
    save_clip(folder / "clip-vit-l-14", seed=2)
    save_clip(folder / "hps-v2.1", seed=3, file="HPS_v2.1_compressed.pt", quick_gelu=False)
    for number, size in enumerate(("small", "base", "large", "giant")):
        save_dinov2(folder / f"dinov2-{size}", seed=10 + number, width=32 + 16 * number)
    save_siglip(folder / "siglip-base-patch16-384", seed=20)
    save_siglip(folder / "siglip-large-patch16-384", seed=21)
    save_blip(folder / "blip-large", seed=30)
    save_blip(folder / "blip-base", seed=31)
    save_sentences(folder / "all-mpnet-base-v2", seed=40)
    return folder
