"""How fast drawings are scored, beside a straight implementation that embeds captions and references again each time.

    python benchmarks/scoring.py                          # CPU: ViT-B/32, DINOv2-S and -B
    python benchmarks/scoring.py --device cuda --profile paper --prompts 128

Both sides use the same architectures in their real sizes with the same RANDOM weights, the same pictures, captions,
references, device and number of threads, and must come to the same scores. The straight side does what the released
evaluation does: batch after batch, every caption and every reference goes through the encoders with its drawing, one
encoder after the other, pictures prepared by the libraries' own transforms. Loading is not part of either time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image, ImageDraw

from sgpbench.metrics.interface import Metric, MetricContext
from sgpbench.metrics.registry import open_metric
from sgpbench.protocol import load_protocol
from sgpbench.records import Drawing, Outcome, Prompt, Reference, Score

CLIPS = {"clip-vit-b-32": "ViT-B-32-quickgelu", "clip-vit-l-14": "ViT-L-14-quickgelu"}
DINOS = {"small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16), "giant": (1536, 40, 24)}
USED = {
    "fast": (["clip-vit-b-32"], ["small", "base"]),
    "paper": (["clip-vit-b-32", "clip-vit-l-14"], ["small", "base", "large", "giant"]),
}
WORDS = ("red", "blue", "green", "dog", "cat", "house", "tree", "boat", "under", "over", "beside", "two", "three")


def save_weights(folder: Path, profile: str) -> None:
    """Random weights in the real sizes."""
    import open_clip
    import torch
    from safetensors.torch import save_file
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    clips, dinos = USED[profile]
    for name in clips:
        (folder / name).mkdir(parents=True)
        model = open_clip.create_model(CLIPS[name])
        state = {key: value.contiguous() for key, value in model.state_dict().items()}
        save_file(state, folder / name / "open_clip_model.safetensors")
    for name in dinos:
        width, layers, heads = DINOS[name]
        config = Dinov2Config(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            image_size=518,
            use_swiglu_ffn=name == "giant",
        )
        Dinov2Model(config).save_pretrained(folder / f"dinov2-{name}")


def make_drawings(folder: Path, prompts: int, samples: int) -> list[Drawing]:
    """Pictures of 512 pixels with a few shapes each, in the order in which a run meets them."""
    rng = np.random.default_rng(0)

    def picture(name: str) -> Path:
        image = Image.new("RGB", (512, 512), "white")
        draw = ImageDraw.Draw(image)
        for _ in range(12):
            left, top, width, height = (int(value) for value in rng.integers(10, 300, 4))
            draw.ellipse((left, top, left + width, top + height), fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
        image.save(folder / f"{name}.png")
        return folder / f"{name}.png"

    words = tuple(WORDS)
    made = []
    for number in range(prompts):
        caption = " ".join(rng.choice(words, 14))
        reference = Reference(image=picture(f"reference-{number}"))
        prompt = Prompt(f"p{number}", caption, "c", f"k{number}", reference=reference)
        for sample in range(samples):
            file = picture(f"{number}-{sample}")
            made.append(Drawing(prompt, sample, Outcome.OK, "<svg/>", file, f"{number}-{sample}"))
    return made


class Straight:
    """The same scores the plain way."""

    def __init__(self, folder: Path, profile: str, device: str) -> None:
        import open_clip
        import torch
        from torchvision import transforms
        from transformers import AutoModel

        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        self.device = device
        clips, dinos = USED[profile]
        self.clips = []
        for name in clips:
            file = str(folder / name / "open_clip_model.safetensors")
            model, _, prepare = open_clip.create_model_and_transforms(CLIPS[name], pretrained=file)
            self.clips.append((model.eval().to(device), prepare, open_clip.get_tokenizer(CLIPS[name])))
        self.dinos = [AutoModel.from_pretrained(str(folder / f"dinov2-{name}")).eval().to(device) for name in dinos]
        self.prepare = transforms.Compose(
            [
                transforms.Resize(224, transforms.InterpolationMode.BILINEAR),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def score(self, drawings: Sequence[Drawing], batch: int) -> list[tuple[float, float]]:
        """CLIP and DINO of each drawing."""
        import torch
        from torch.nn.functional import cosine_similarity

        scores: list[tuple[float, float]] = []
        with torch.no_grad():
            for first in range(0, len(drawings), batch):
                part = drawings[first : first + batch]
                near: list[Any] = [[], []]
                for model, prepare, tokenizer in self.clips:
                    pixels = self._stacked([drawing.rendering for drawing in part], prepare)
                    words = tokenizer([drawing.prompt.caption for drawing in part]).to(self.device)
                    near[0].append(cosine_similarity(model.encode_image(pixels), model.encode_text(words)))
                for model in self.dinos:
                    drawn = model(self._stacked([drawing.rendering for drawing in part], self.prepare)).pooler_output
                    files = [drawing.prompt.reference.image for drawing in part if drawing.prompt.reference]
                    near[1].append(cosine_similarity(drawn, model(self._stacked(files, self.prepare)).pooler_output))
                means = [torch.stack(values).mean(0).cpu().tolist() for values in near]
                scores += list(zip(*means, strict=True))
        return scores

    def _stacked(self, files: Sequence[Path | None], prepare: Callable[[Image.Image], Any]) -> Any:
        import torch

        return torch.stack([prepare(Image.open(file).convert("RGB")) for file in files if file]).to(self.device)


async def ours(metrics: Sequence[Metric], drawings: Sequence[Drawing], cut: int) -> list[tuple[float, float]]:
    """The same through the metrics, in the batches a run would make, two in flight for each metric."""

    async def one(metric: Metric) -> list[float]:
        room = asyncio.Semaphore(2)

        async def part(first: int) -> list[float]:
            async with room:
                answers = await metric.score(drawings[first : first + cut])
            return [answer.values[metric.name] for answer in answers if isinstance(answer, Score)]

        parts = await asyncio.gather(*(part(first) for first in range(0, len(drawings), cut)))
        return [value for values in parts for value in values]

    columns = [await one(metric) for metric in metrics]
    return list(zip(*columns, strict=True))


class GpuWatch:
    """The share of time the GPU was busy, as its driver counts it."""

    def __init__(self, device: str) -> None:
        self.seen: list[int] = []
        self._process: subprocess.Popen[str] | None = None
        if device != "cpu":
            query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "100"]
            self._process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.seen.append(int(line))

    def busy(self) -> float | None:
        if self._process is None:
            return None
        self._process.terminate()
        self._process.wait()
        return statistics.fmean(self.seen) / 100 if self.seen else None


def main() -> None:
    parser = argparse.ArgumentParser(description="Scoring beside a straight implementation.")
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32, help="drawings per batch of the straight side")
    parser.add_argument("--repeats", type=int, default=2, help="each side is measured this often, in turn; best counts")
    parser.add_argument("--profile", choices=list(USED), default="fast")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    suffix = "[fast]" if options.profile == "fast" else ""
    with tempfile.TemporaryDirectory(prefix="sgpbench-benchmark-") as name:
        folder = Path(name)
        save_weights(folder / "weights", options.profile)
        os.environ["SGPBENCH_WEIGHTS_DIR"] = str(folder / "weights")
        (folder / "pictures").mkdir()
        drawings = make_drawings(folder / "pictures", options.prompts, options.samples)
        (folder / "warm").mkdir()
        warm = make_drawings(folder / "warm", 2, 1)
        straight = Straight(folder / "weights", options.profile, options.device)
        straight.score(warm, options.batch)
        times: dict[str, list[float]] = {"straight": [], "sgpbench": []}
        processor: dict[str, list[float]] = {"straight": [], "sgpbench": []}
        busy: float | None = None
        apart = 0.0
        for repeat in range(options.repeats):
            begun, before = time.perf_counter(), processor_seconds()
            expected = straight.score(drawings, options.batch)
            times["straight"].append(time.perf_counter() - begun)
            processor["straight"].append(processor_seconds() - before)
            seconds, used, busy, scores = measure_ours(
                folder / f"cache-{repeat}", suffix, options.device, drawings, warm
            )
            times["sgpbench"].append(seconds)
            processor["sgpbench"].append(used)
            apart = max(apart, float(np.abs(np.array(scores) - np.array(expected)).max()))
    best = {side: min(values) for side, values in times.items()}
    report = {
        "drawings": len(drawings),
        "samples_per_prompt": options.samples,
        "encoders": [f"{kind}" for kinds in USED[options.profile] for kind in kinds],
        "device": options.device,
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.platform(),
        "seconds": times,
        "processor_seconds": processor,
        "drawings_per_second": {side: round(len(drawings) / value, 2) for side, value in best.items()},
        "ratio": round(best["straight"] / best["sgpbench"], 2),
        "processor_ratio": round(min(processor["straight"]) / min(processor["sgpbench"]), 2),
        "largest_difference": apart,
        "gpu_busy": busy,
    }
    if options.json:
        print(json.dumps(report))
        return
    print(f"{len(drawings)} drawings, {options.samples} per prompt, {', '.join(report['encoders'])}, {options.device}")
    for side, value in best.items():
        used = min(processor[side])
        print(f"{side:<10}{value:8.1f} s{len(drawings) / value:8.1f} drawings/s{used:8.1f} s of processor")
    print(f"ratio     {report['ratio']:8.2f} by the clock, {report['processor_ratio']:.2f} by the processor")
    print(f"scores differ by at most {apart:.1e}")
    if busy is not None:
        print(f"GPU busy  {busy:8.0%} of the time")


def processor_seconds() -> float:
    """Of this process and those it started that still run; a machine with other work does not distort it."""
    own = psutil.Process()
    return sum(each.cpu_times().user + each.cpu_times().system for each in (own, *own.children(recursive=True)))


def measure_ours(
    cache: Path, suffix: str, device: str, drawings: Sequence[Drawing], warm: Sequence[Drawing]
) -> tuple[float, float, float | None, list[tuple[float, float]]]:
    """Seconds by the clock and of processor time, GPU use, and scores; the cache is empty, the encoders are loaded."""

    async def run() -> tuple[float, float, float | None, list[tuple[float, float]]]:
        context = MetricContext(None, load_protocol("v1"), cache, device=device)
        metrics = [open_metric(f"{name}{suffix}", context) for name in ("clip", "dino")]
        await ours(metrics, warm, 64)
        watch = GpuWatch(device)
        begun, before = time.perf_counter(), processor_seconds()
        scores = await ours(metrics, drawings, 64)
        seconds, used = time.perf_counter() - begun, processor_seconds() - before
        busy = watch.busy()
        for metric in metrics:
            await metric.aclose()
        return seconds, used, busy, scores

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
