"""The prompts of the parity test: published captions and questions, made references, and replies dealt out to them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .completions import drawing, replies

__all__ = ["save_inputs"]

SAMPLES = 8
BATCH = 8
"""Prompts that the released code scores at once, as ``run.py`` has it."""
_OBJECTS = 12
_SCENES = 8
"""Photographs with a single caption; beside them stand all that have three, some that have two, and the shared caption's."""
Row = dict[str, Any]


def save_inputs(folder: Path, upstream: Path) -> dict[str, list[str]]:
    """Writes ``inputs.json`` for the released code, ``data/`` and ``replies.jsonl`` for ours; returns reply names by text."""
    rng = random.Random(0)
    data = folder / "data"
    published = upstream / "eval_tools" / "build_vqa" / "vqa_data"
    scene_rows: list[Row] = json.loads((upstream / "dataset/coco_image/coco_test_data.json").read_bytes())
    chosen = _scenes(scene_rows, rng)
    _link(data / "coco-val-captions", upstream / "dataset" / "coco_image", "coco_test_data.json")
    _link(data / "tifa-questions", published, "coco_qa.json", "sgp_compbench_qa.json")
    _link(data / "upstream-templates", upstream / "sgp-compbench", "evaluation_prompts.py", "generation.py")
    photographs = data / "coco-val2017-photographs"
    _save_photographs(photographs, sorted({row["image_id"] for row in chosen}))
    objects = _objects(json.loads((published / "sgp_compbench_qa.json").read_bytes()), rng)
    (data / "sgp-object").mkdir()
    (data / "sgp-object" / "SGP-Object.json").write_text(
        json.dumps(
            [{"description": o["caption"], "svg_content": o["svg"], "file_name": f"{o['key']}.svg"} for o in objects]
        )
    )
    pool = replies()
    dealt = _dealt(pool, len(objects), len(chosen), rng)
    scenes = [
        {"id": row["id"], "caption": row["caption"], "photograph": str(photographs / f"{row['image_id']:012d}.jpg")}
        for row in chosen
    ]
    for prompt, samples in zip([*objects, *scenes], dealt, strict=True):
        prompt["samples"] = [pool[name] for name in samples]
    inputs = {
        "object": objects,
        "scene": scenes,
        "object captions": objects,
        "scene captions": [{"caption": row["caption"], "key": row["image_id"]} for row in scene_rows],
        "object questions": str(published / "sgp_compbench_qa.json"),
        "scene questions": str(published / "coco_qa.json"),
    }
    (folder / "inputs.json").write_text(json.dumps(inputs), "utf-8")
    with (folder / "replies.jsonl").open("w", encoding="utf-8") as file:
        for prompt in [*objects, *scenes]:
            for number, text in enumerate(prompt["samples"]):
                row = {"prompt_id": prompt["id"], "sample": number, "completion": text}
                file.write(json.dumps(row) + "\n")
    names: dict[str, list[str]] = {}
    for name, text in pool.items():
        names.setdefault(text, []).append(name)
    return names


def _link(folder: Path, source: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).symlink_to(source.resolve() / name)


def _scenes(rows: list[Row], rng: random.Random) -> list[Row]:
    """Whole photographs, in the published order, with the id that the task gives each caption."""
    of: dict[int, list[Row]] = {}
    for row in rows:
        own = of.setdefault(row["image_id"], [])
        own.append(row)
        row["id"] = f"coco-{row['image_id']}-{len(own)}"
    captions = [row["caption"] for row in rows]
    shared = {row["image_id"] for row in rows if captions.count(row["caption"]) > 1}
    by_number = {number: sorted(key for key, own in of.items() if len(own) == number) for number in (1, 2, 3)}
    taken = {*shared, *by_number[3], *rng.sample(by_number[2], 2), *rng.sample(by_number[1], _SCENES)}
    return [row for row in rows if row["image_id"] in taken]


def _objects(questions: dict[str, Any], rng: random.Random) -> list[Row]:
    """Published captions with references of our own; one caption stands twice."""
    captions = sorted(questions)
    chosen = rng.sample(captions, _OBJECTS - 1)
    chosen.append(chosen[3])
    from sgpbench.tasks.texts import slug

    rows: list[Row] = []
    for number, caption in enumerate(chosen, start=1):
        key = f"made-{number}"
        row = {"id": f"object-{number:04d}-{slug(key)}", "caption": caption, "key": key}
        rows.append(row | {"svg": drawing(1000 + number)})
    return rows


def _dealt(pool: dict[str, str], objects: int, scenes: int, rng: random.Random) -> list[list[str]]:
    """Names of replies for each prompt: nearly every reply at least once; and the cases that means are made of.

    Equal drawings, none that is valid, one that is, and pictures that HPS cannot embed come in prompts of their own. Every
    batch of the released code begins with an ordinary drawing: with one of 1 or 3 pixels' height, the transformers of its
    pins take the rows of all pictures of the batch for colours, and the batch is lost.
    """
    prompts = objects + scenes
    names = sorted(pool)
    rng.shuffle(names)
    deck = [*names, *rng.choices(names, k=prompts * SAMPLES)][: prompts * SAMPLES]
    rng.shuffle(deck)
    dealt = [deck[start : start + SAMPLES] for start in range(0, len(deck), SAMPLES)]
    good = [name for name in names if name.startswith("drawing")]
    for place, special in {
        1: [good[0]] * SAMPLES,
        3: ["nothing", "words alone", "only a start", "only a word"] * (SAMPLES // 4),
        5: ["nothing"] * (SAMPLES - 1) + [good[1]],
        7: [*good[2:9], "tall and thin, as asked"],
        -2: [good[9]] * SAMPLES,
        -4: ["nothing"] * SAMPLES,
        -6: ["nothing", good[10]] * (SAMPLES // 2),
        -8: [*good[11:18], "as long as an input of HPS, as asked"],
    }.items():
        dealt[place] = special
    for first in [*range(0, objects, BATCH), *range(objects, prompts, BATCH)]:
        dealt[first][0] = good[20]
    return dealt


def _save_photographs(folder: Path, image_ids: list[int]) -> None:
    """Made pictures in place of COCO's photographs, under their names: soft patches of colour, as JPEG."""
    folder.mkdir(parents=True)
    for image_id in image_ids:
        rng = np.random.default_rng(image_id)
        size = random.Random(image_id).choice([(640, 480), (480, 640), (640, 427), (333, 500), (224, 224)])
        small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        small.resize(size, Image.Resampling.BICUBIC).save(folder / f"{image_id:012d}.jpg", quality=92)
