"""Makes a tiny SigLIP and a tiny DINOv2 with RANDOM weights, so that ``reward_for_grpo.py`` runs without a download.

    python examples/reward_tiny_weights.py tiny-weights
    SGPBENCH_WEIGHTS_DIR=tiny-weights python examples/reward_for_grpo.py

Rewards made with them are meaningless: they show that the parts fit together and nothing else. sgpbench knows such
weights by their hash and never publishes a number made with them.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import sentencepiece
import torch
from transformers import Dinov2Config, Dinov2Model, SiglipConfig, SiglipModel, SiglipTextConfig, SiglipVisionConfig

WORDS = "a red blue green circle square triangle star on the left right of above below and two three small large"


def main(folder: Path) -> None:
    """Saves both models below ``folder``."""
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    pieces = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([WORDS] * 20),
        model_writer=pieces,
        vocab_size=60,
        pad_id=-1,
        bos_id=0,
        eos_id=1,
        unk_id=2,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    text = SiglipTextConfig(vocab_size=60, bos_token_id=0, eos_token_id=1, **small)
    vision = SiglipVisionConfig(image_size=64, **small)
    siglip = folder / "siglip-base-patch16-384"
    SiglipModel(SiglipConfig(text_config=text.to_dict(), vision_config=vision.to_dict())).save_pretrained(siglip)
    (siglip / "spiece.model").write_bytes(pieces.getvalue())
    tokenizer = {"tokenizer_class": "SiglipTokenizer", "model_max_length": 64}
    (siglip / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    dino = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=70)
    Dinov2Model(dino).save_pretrained(folder / "dinov2-base")
    print(f"Random weights in {folder}. They mean nothing.")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "tiny-weights"))
