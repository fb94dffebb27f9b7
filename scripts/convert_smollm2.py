"""Turns the packaged SmolLM2 weights (GGUF) into a checkpoint folder that vLLM can serve.

Run it with the Python of vLLM's own environment, which needs ``transformers``, ``gguf`` and ``accelerate``:

    python scripts/convert_smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf OUT
"""

from __future__ import annotations

import sys
from pathlib import Path


def convert(weights: Path, folder: Path) -> None:
    """Reads ``weights`` and writes config, tokenizer, chat template and safetensors into ``folder``."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

    place = {"pretrained_model_name_or_path": str(weights.parent), "gguf_file": weights.name}
    loaded = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
    # A fresh model: the loaded one remembers that it was quantized, and would be saved with that in its config.
    config = LlamaConfig(
        **{key: value for key, value in loaded.config.to_dict().items() if key != "quantization_config"}
    )
    fresh = LlamaForCausalLM(config).to(torch.bfloat16)
    fresh.load_state_dict(loaded.state_dict())
    fresh.generation_config = GenerationConfig(eos_token_id=config.eos_token_id, bos_token_id=config.bos_token_id)
    fresh.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**place).save_pretrained(folder)


def main() -> None:
    """Reads the command line."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    weights, folder = Path(sys.argv[1]), Path(sys.argv[2])
    if not weights.is_file():
        sys.exit(f"There is no file {weights}. `sgpbench data fetch smollm2-135m` fetches it.")
    convert(weights, folder)
    print(f"Wrote {folder}. Serve it with: vllm serve {folder}")


if __name__ == "__main__":
    main()
