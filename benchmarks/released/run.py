"""Scores given replies with the released code itself, in its own environment, and writes down what it said of each.

    python run.py --upstream SGP-RL --dinov2 DINOV2 FOLDER

``FOLDER/inputs.json`` holds the prompts and replies, ``FOLDER/theirs`` the weights; ``FOLDER/released.json`` is written.
Nothing of this project is imported. What of the released code cannot be had, or does not run as it was released, is stood
in for here and nowhere else, each time by something that computes nothing:

- ``vllm``, ``ray``, ``fire``, ``wandb``, ``datasets``: empty modules; nothing is generated, so nothing of them is used;
- ``dataset.registry``: hands out the given rows, as the released data classes would from files;
- ``modelscope`` (mPLUG), ``lavis``, ``promptcap``: empty modules. mPLUG's weights cannot be had; the released
  ``VQAModel`` is asked for ``blip-large``, one of its own choices;
- ``clip.load``, ``torch.hub.load``, ``hpsv2``'s loader: build the released model classes with the tiny weights;
- ``id2caption.json``, which ``eval_hpsv2.py`` reads and no released script writes: the caption that each id stands for last;
- ``eval_hpsv2.py`` ends in an AttributeError after its results are written (``args.result_dir`` is no argument of it);
- ``convert_vqa_annos.py`` writes no file for COCO (its ``with open`` stands in the other branch): its ``qa_data`` is read
  from the run script. The questions of objects are published by caption and looked up by file name: they are keyed anew;
- the fonts are those that ``FONTCONFIG_FILE`` names; the released code draws with the machine's;
- ``glob.glob`` returns batches in their order; the order of the file system is nobody's choice.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import hashlib
import io
import json
import os
import pickle
import runpy
import shutil
import sys
import types
import warnings
from functools import partial
from pathlib import Path
from typing import Any

MODELS = {
    "clip": ["clip_small", "clip_large", "siglip_large", "siglip_small"],
    "dino": ["dino_small", "dino_base", "dino_large", "dino_giant"],
}
BATCH = 8


def stand_in(name: str, **attributes: Any) -> types.ModuleType:
    """An empty module of that name, with its parents."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        if path not in sys.modules:
            module = types.ModuleType(path)
            module.__path__ = []  # type: ignore[attr-defined]
            sys.modules[path] = module
            if end > 1:
                setattr(sys.modules[".".join(parts[: end - 1])], parts[end - 1], module)
    module = sys.modules[name]
    for key, value in attributes.items():
        setattr(module, key, value)
    return module


def same(*args: Any, **kwargs: Any) -> Any:
    """``ray.remote`` with and without arguments."""
    return args[0] if args and callable(args[0]) else same


def absent(*_: Any, **__: Any) -> Any:
    raise RuntimeError("stood in for; it should not be used")


def prepare(upstream: Path, dinov2: Path, weights: Path) -> None:
    """Makes the released code importable, with the tiny weights behind its loaders."""
    import clip
    import huggingface_hub
    import torch

    # Looks for packages that are stood in for, so it comes before them.
    from transformers import AutoModel, AutoProcessor, AutoTokenizer, BlipForQuestionAnswering  # noqa: F401

    sys.path[:0] = [str(upstream), str(dinov2)]
    stand_in("vllm", LLM=absent, SamplingParams=absent)
    stand_in("ray", init=lambda *_, **__: None, remote=same)
    stand_in("wandb")
    stand_in("datasets", load_from_disk=absent)
    stand_in("modelscope.pipelines", pipeline=absent)
    stand_in("modelscope.utils.constant", Tasks=types.SimpleNamespace(visual_question_answering=""))
    stand_in("modelscope.outputs", OutputKeys=types.SimpleNamespace(TEXT=""))
    stand_in("modelscope.preprocessors.multi_modal", OfaPreprocessor=absent)
    stand_in("promptcap", PromptCap_VQA=absent)
    stand_in("lavis.models", load_model_and_preprocess=absent)
    stand_in("dataset.registry", get_dataset_class=absent)

    names = {"ViT-B/32": "clip-vit-b-32", "ViT-L/14": "clip-vit-l-14"}

    def load_clip(name: str, device: Any) -> tuple[Any, Any]:
        from clip.clip import _transform
        from clip.model import build_model

        model = build_model(torch.load(weights / f"{names[name]}.pt")).to(device).float()
        return model, _transform(model.visual.input_resolution)

    clip.load = load_clip
    torch.hub.load = lambda _, name: released_dinov2(name, weights / f"{name}.pt")
    huggingface_hub.hf_hub_download = lambda *_, **__: str(weights / "hps.pt")
    ordered = glob.glob
    glob.glob = lambda *args, **kwargs: sorted(ordered(*args, **kwargs))
    # Names of hub repositories are folders here.
    os.chdir(weights)
    warnings.filterwarnings("ignore", category=FutureWarning)
    # Tiny models only lose time to each other's threads.
    torch.set_num_threads(1)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def released_dinov2(name: str, file: Path) -> Any:
    """A DINOv2 of the tiny size, by its own code and with the settings that torch.hub gives it."""
    import torch
    from dinov2.hub import backbones
    from dinov2.layers import MemEffAttention
    from dinov2.layers import NestedTensorBlock as Block
    from dinov2.models import vision_transformer as models

    def tiny(patch_size: int = 16, num_register_tokens: int = 0, **settings: Any) -> Any:
        return models.DinoVisionTransformer(
            patch_size=patch_size,
            embed_dim=64,
            depth=2,
            num_heads=2,
            mlp_ratio=4,
            block_fn=partial(Block, attn_class=MemEffAttention),
            num_register_tokens=num_register_tokens,
            **settings,
        )

    models.vit_tiny = tiny
    layer = "swiglufused" if "vitg" in name else "mlp"
    model = backbones._make_dinov2_model(arch_name="vit_tiny", ffn_layer=layer, pretrained=False)
    model.load_state_dict(torch.load(file))
    return model


def prepare_hps(weights: Path) -> None:
    """HPSv2's own package with the tiny weights; it lacks the vocabulary, which OpenAI's has."""
    import clip
    import torch

    spec = __import__("importlib.util").util.find_spec("hpsv2")
    vocabulary = "bpe_simple_vocab_16e6.txt.gz"
    there = Path(spec.origin).parent / "src" / "open_clip" / vocabulary
    if not there.exists():
        shutil.copy(Path(clip.__file__).parent / vocabulary, there)
    from hpsv2 import img_score
    from hpsv2.src.open_clip.model import CLIP
    from hpsv2.src.open_clip.transform import image_transform

    config = torch.load(weights / "hps.pt")["config"]

    def load() -> None:
        if not img_score.model_dict:
            model = CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"], output_dict=True)
            # As create_model_and_transforms makes it for scoring.
            view = image_transform(config["vision_cfg"]["image_size"], is_train=False, resize_longest_max=True)
            img_score.model_dict |= {"model": model, "preprocess_val": view}

    img_score.initialize_model = load


class Rows:
    """A data class of the released code, over rows that are given."""

    def __init__(self, columns: dict[str, list[str]]) -> None:
        self.columns = columns

    def load_dataset(self, *_: Any, **__: Any) -> dict[str, Rows]:
        return {"test": self}

    def __getitem__(self, name: str) -> list[str]:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.columns["prompt"])


def columns(prompts: list[dict[str, Any]], field: str, given: str) -> dict[str, list[str]]:
    captions = [prompt["caption"] for prompt in prompts]
    return {"prompt": captions, "solution": captions, field: [prompt[given] for prompt in prompts]}


def similarity(inputs: dict[str, Any], folder: Path) -> dict[str, Any]:
    """CLIP, SigLIP, DINO and diversity by the released evaluation; per reply what it drew, and the means."""
    import evaluate_svg_model as released
    from eval_utils import calculate_average_metrics

    classes = {
        "hq_svg_new": Rows(columns(inputs["object"], "svg", "svg")),
        "HuggingFaceM4/COCO": Rows(columns(inputs["scene"], "image_path", "photograph")),
    }
    released.get_dataset_class = lambda name: lambda: classes[name]
    loaders = released.prepare_data_batched(batch_size=BATCH)
    drawn = watch(released)
    results: dict[str, Any] = {}
    for task, loader in (("object", loaders["SGP-Single-9k"]), ("scene", loaders["coco"])):
        samples = iter([prompt["samples"] for prompt in inputs[task]])
        data: list[Any] = []
        for number, (_, captions, _, pictures) in enumerate(loader["dataloader"]):
            replies = [next(samples) for _ in captions]
            batch = released.calculate_eval_rewards_with_diversity_batched(
                captions, replies, pictures, models_dict=MODELS, eval_dir=str(folder / task), batch_idx=number
            )
            data += batch["prompts"].values()
        results[task] = {
            "means": calculate_average_metrics(data),
            "prompts": [
                {
                    "diversity": prompt["diversity"],
                    "diversities": prompt["diversities_by_model"],
                    "samples": [
                        {"valid": one["valid"], "formatted": one["formatted"], "metrics": one["metrics"]}
                        for one in prompt["responses"]
                    ],
                }
                for prompt in data
            ],
        }
    results["drawn"] = drawn
    return results


def watch(released: Any) -> dict[str, Any]:
    """Has written down, by reply, which program the released code took from it and which pixels it drew."""
    from understand_r1_zero import svg_grader

    drawn: dict[str, Any] = {}
    last: dict[str, str] = {}
    extract, render = svg_grader.extract_svg, released.render_response_to_image

    def extracted(text: str) -> str:
        last["program"] = extract(text)
        return last["program"]

    def rendered(reply: str) -> tuple[Any, Any]:
        image, info = render(reply)
        found: dict[str, Any] = {"program": last["program"], "size": None, "pixels": None}
        if image is not None:
            from understand_r1_zero.clips import prepare_image

            found |= {"size": image.size, "pixels": hashlib.sha256(prepare_image(image).tobytes()).hexdigest()}
        drawn[reply] = found
        return image, info

    svg_grader.extract_svg = extracted
    released.render_response_to_image = rendered
    return drawn


def script(path: Path, *words: str) -> dict[str, Any]:
    """Runs a released script; returns its variables."""
    before, sys.argv = sys.argv, [str(path), *words]
    try:
        return runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv = before


def by_image(inputs: dict[str, Any], upstream: Path, folder: Path) -> dict[str, Any]:
    """HPS and VQA by the released scripts, per image id and as means."""
    from eval_tools.tifa.tifa_score import tifa_score_benchmark

    tools = upstream / "eval_tools"
    results: dict[str, Any] = {}
    for task, kind in (("object", "sgp_compbench"), ("scene", "coco")):
        out = folder / task
        captions = folder / f"{task}-captions.json"
        rows = inputs[f"{task} captions"]
        questions = Path(inputs[f"{task} questions"])
        keys = {row["caption"]: row["key"] for row in rows}
        if task == "scene":
            annotations = [{"caption": row["caption"], "image_id": row["key"]} for row in rows]
            captions.write_text(json.dumps({"annotations": annotations}))
        else:
            written = [{"description": row["caption"], "file_name": f"{row['key']}.svg"} for row in rows]
            captions.write_text(json.dumps(written))
            published = json.loads(questions.read_text())
            questions = folder / "object-questions.json"
            questions.write_text(json.dumps({key: published[caption] for caption, key in keys.items()}))
        where = ["--dataset", kind, "--caption_file", str(captions)]
        script(tools / "get_id2img.py", "--result_dir", str(out), *where)
        asked = folder / f"{task}-asked.json"
        made = script(
            tools / "build_vqa" / "convert_vqa_annos.py",
            *("--input_files", str(questions), "--output_file", str(asked), *where),
        )
        asked.write_text(json.dumps(made["qa_data"]))
        (out / "id2caption.json").write_text(json.dumps({str(key): caption for caption, key in keys.items()}))
        with contextlib.suppress(AttributeError):
            script(tools / "eval_hpsv2.py", "--input_dir", str(out), "--output_file", str(out / "hps.pkl"))
        hps = pickle.loads((out / "hps.pkl").read_bytes())
        vqa = tifa_score_benchmark("blip-large", str(asked), str(out / "id2img.json"), str(out))
        results[task] = {
            "hps": {
                key: {"each": row["hpsv2_score"], "mean": float(row["hpsv2_score_mean"])} for key, row in hps.items()
            },
            "vqa": {str(key): value for key, value in vqa["caption_scores"].items()},
            "vqa mean": vqa["tifa_average"],
        }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--upstream", type=Path, required=True)
    parser.add_argument("--dinov2", type=Path, required=True)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    folder = given.folder.resolve()
    upstream, dinov2 = given.upstream.resolve(), given.dinov2.resolve()
    inputs = json.loads((folder / "inputs.json").read_text("utf-8"))
    # The released code prints at every question.
    with contextlib.redirect_stdout(io.StringIO()):
        prepare(upstream, dinov2, folder / "theirs")
        found = similarity(inputs, folder / "released")
        prepare_hps(folder / "theirs")
        keyed = by_image(inputs, upstream, folder / "released")
    for task in ("object", "scene"):
        found[task] |= keyed[task]
    (folder / "released.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
