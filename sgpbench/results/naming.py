"""Where a result lies: ``<model>/<task>@<protocol>.json``, with every further part of its identity that is not the default.

Names are readable, hold only letters, digits and ``._-+=,@%~``, and differ where identities differ.
"""

from __future__ import annotations

import json
import urllib.parse
from pathlib import PurePosixPath

from sgpbench.errors import SgpbenchError
from sgpbench.protocol import canonical_hash, load_protocol
from sgpbench.results.schema import Identity

__all__ = ["EVIDENCE_SUFFIX", "model_folder", "result_path"]

EVIDENCE_SUFFIX = ".samples.parquet"
_LONGEST_PART = 120
_LONGEST_ARGUMENTS = 80


def model_folder(model: str) -> PurePosixPath:
    """The folder of a model's results: its slashes make folders, all else unusual is percent-encoded."""
    return PurePosixPath(*(_safe(part) for part in model.split("/")))


def result_path(identity: Identity) -> PurePosixPath:
    """The result's path under ``results/``. Evidence has the same name with ``.samples.parquet`` for ``.json``."""
    parts = [f"{identity.task}@{identity.protocol}"]
    if identity.task_version != 1:
        parts.append(f"task=v{identity.task_version}")
    if identity.split != "official":
        parts.append(f"split={_quoted(identity.split)}")
    if identity.samples != identity.protocol_samples:
        parts.append(f"samples={identity.samples}")
    if identity.seed:
        parts.append(f"seed={identity.seed}")
    parts += _protocol_parts(identity)
    parts += _argument_parts(identity)
    return model_folder(identity.model) / (",".join(parts) + ".json")


def _protocol_parts(identity: Identity) -> list[str]:
    """The hashes, where they are not those of the protocol that comes with the package under that name."""
    try:
        protocol = load_protocol(identity.protocol)
        usual = {"generation": protocol.generation_hash(identity.task), "scoring": protocol.scoring_hash}
    except SgpbenchError:
        usual = {"generation": "", "scoring": ""}
    actual = {"generation": identity.generation_hash, "scoring": identity.scoring_hash}
    return [f"{name}={value}" for name, value in actual.items() if value != usual[name]]


def _argument_parts(identity: Identity) -> list[str]:
    words = []
    for key, value in sorted(identity.model_args.items()):
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
        # A string that reads like another type is spelt as JSON, so that "1" and 1 differ.
        if isinstance(value, str) and _reads_like_json(value):
            text = json.dumps(value)
        words.append(f"arg.{_quoted(key)}={_quoted(text)}")
    if len(",".join(words)) > _LONGEST_ARGUMENTS:
        return [f"args={canonical_hash(identity.model_args)}"]
    return words


def _reads_like_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="+").replace("~", "%7E")


def _safe(part: str) -> str:
    quoted = _quoted(part)
    if not quoted.strip("."):
        return "%2E" * len(part) or "%2F"
    if len(quoted) > _LONGEST_PART:
        return f"{quoted[: _LONGEST_PART - 20]}~{canonical_hash(part)}"
    return quoted
