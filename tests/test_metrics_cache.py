"""The cache of vectors, and that every content is embedded once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sgpbench.errors import MetricUnavailable
from sgpbench.metrics.embedder import Embedder
from sgpbench.metrics.embedding_cache import EmbeddingCache, MemoryCache, VectorCache, content_key
from sgpbench.metrics.encoding import (
    Embedded,
    EmbedImages,
    EmbedTexts,
    EncoderSpec,
    ImageItem,
    Reply,
    Request,
    Unreadable,
)

SMALL = EncoderSpec("small", "open_clip", "small.safetensors", "a" * 64)
LARGE = EncoderSpec("large", "open_clip", "large.safetensors", "b" * 64)


def key(number: int) -> bytes:
    return content_key("encoder", "image", str(number).encode())


def vector(number: float) -> np.ndarray:
    return np.arange(4, dtype=np.float32) + np.float32(number)


class CountingEncoders:
    """Embeds a picture by its bytes and a text by its letters, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []

    def call(self, request: Request) -> Reply:
        if isinstance(request, EmbedTexts):
            self.asked += [(request.encoder.name, text) for text in request.texts]
            return Embedded((tuple(vector(len(text)) for text in request.texts),))
        assert isinstance(request, EmbedImages)
        rows = []
        for spec in request.encoders:
            self.asked += [(spec.name, item) for item in request.images]
            rows.append(tuple(vector(len(item.path.read_bytes()) + len(spec.name)) for item in request.images))
        return Embedded(tuple(rows))

    def close(self) -> None:
        self.asked.clear()


@pytest.fixture(params=["disk", "memory"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> VectorCache:
    return EmbeddingCache(tmp_path / "cache") if request.param == "disk" else MemoryCache()


def test_what_was_kept_comes_back_bit_by_bit(cache: VectorCache) -> None:
    kept = {key(number): vector(number / 3) for number in range(1200)}
    cache.put(kept)
    found = cache.get([key(number) for number in range(1201)])
    assert found.keys() == kept.keys()
    assert all(np.array_equal(found[name], kept[name]) and found[name].dtype == np.float32 for name in kept)


def test_keys_differ_with_every_part_of_what_made_a_vector() -> None:
    keys = {
        content_key("a", "image", b"x"),
        content_key("b", "image", b"x"),
        content_key("a", "text", b"x"),
        content_key("a", "image", b"y"),
        content_key("a", "image", b"x", "75"),
        content_key("ai", "mage", b"x"),
    }
    assert len(keys) == 6


def test_a_damaged_cache_is_set_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    (tmp_path / "embeddings.sqlite").write_bytes(b"not a database " * 100)
    cache = EmbeddingCache(tmp_path)
    cache.put({key(1): vector(1)})
    assert len(cache.get([key(1)])) == 1
    cache.close()
    assert (tmp_path / "embeddings.damaged").read_bytes().startswith(b"not a database")


def test_a_cache_that_grew_too_large_drops_its_oldest(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.put({key(number): np.zeros(200, np.float32) for number in range(400)})
    cache.close()
    cache = EmbeddingCache(tmp_path, most_bytes=100_000)
    found = cache.get([key(number) for number in range(400)])
    assert key(0) not in found
    assert key(399) in found
    assert len(found) == pytest.approx(300, abs=2)
    cache.close()


def test_memory_forgets_what_was_longest_unused() -> None:
    cache = MemoryCache(most=2)
    cache.put({key(1): vector(1), key(2): vector(2)})
    cache.get([key(1)])
    cache.put({key(3): vector(3)})
    assert cache.get([key(1), key(2), key(3)]).keys() == {key(1), key(3)}


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, numpy as np\n"
        "from sgpbench.metrics.embedding_cache import EmbeddingCache, content_key\n"
        "cache = EmbeddingCache(pathlib.Path(sys.argv[1]))\n"
        "for n in range(int(sys.argv[2]), int(sys.argv[2]) + 60):\n"
        "    cache.put({content_key('encoder', 'image', str(n).encode()): np.full(4, n, np.float32)})\n"
    )
    # They share the numbers 30 to 59.
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), first], stderr=subprocess.PIPE, text=True)
        for first in ("0", "30")
    ]
    assert [writer.communicate()[1] for writer in writers] == ["", ""]
    found = EmbeddingCache(tmp_path).get([key(number) for number in range(90)])
    assert {int(one[0]) for one in found.values()} == set(range(90))


def test_each_content_is_embedded_once_by_each_encoder(tmp_path: Path, cache: VectorCache) -> None:
    encoders = CountingEncoders()
    embedder = Embedder(encoders, cache)
    for name, content in {"a.png": b"1", "b.png": b"22", "copy of a.png": b"1"}.items():
        (tmp_path / name).write_bytes(content)
    a, b, copy = (ImageItem(tmp_path / name) for name in ("a.png", "b.png", "copy of a.png"))
    rows = embedder.images([SMALL, LARGE], [a, b, a, b])
    assert [row[0][0] for row in rows] == [6.0, 7.0, 6.0, 7.0]
    assert sorted(name for name, _ in encoders.asked) == ["large", "large", "small", "small"]
    encoders.asked.clear()
    assert np.array_equal(embedder.images([LARGE, SMALL], [copy])[0][1], rows[0][0])
    assert embedder.texts([SMALL], ["dog", "cat!", "dog"])[2][0][0] == 3.0
    embedder.texts([SMALL], ["cat!", "dog"])
    assert encoders.asked == [("small", "dog"), ("small", "cat!")]


def test_a_picture_prepared_in_another_way_is_another_content(tmp_path: Path, cache: VectorCache) -> None:
    encoders = CountingEncoders()
    (tmp_path / "a.png").write_bytes(b"1")
    items = [ImageItem(tmp_path / "a.png", jpeg=jpeg, squash=squash) for jpeg in (None, 75) for squash in (None, 224)]
    Embedder(encoders, cache).images([SMALL], items)
    assert len(encoders.asked) == 4


def test_a_missing_picture_says_so_and_the_others_are_embedded(tmp_path: Path, cache: VectorCache) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    gone, here = Embedder(CountingEncoders(), cache).images(
        [SMALL], [ImageItem(tmp_path / "gone.png"), ImageItem(tmp_path / "a.png")]
    )
    assert isinstance(gone[0], Unreadable)
    assert "gone.png cannot be read" in gone[0].message
    assert here[0][0] == 6.0


@pytest.mark.parametrize("obstacle", ["a file where the folder should be", "a folder that takes no file"])
def test_a_cache_that_cannot_be_written_names_itself(tmp_path: Path, obstacle: str) -> None:
    folder = tmp_path / "cache"
    if obstacle.startswith("a file"):
        folder.write_bytes(b"")
    else:
        (folder / "embeddings.sqlite").mkdir(parents=True)
    with pytest.raises(MetricUnavailable) as error:
        EmbeddingCache(folder)
    assert str(error.value).startswith(f"The cache {folder} cannot be written: ")
    assert "SGPBENCH_CACHE_DIR" in str(error.value)
