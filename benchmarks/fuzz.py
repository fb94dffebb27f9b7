"""Pushes mutated replies through extraction and cleaning under both protocols, and says what went wrong.

Two questions. Does a program of a model ever end as an error of ours? And do extraction and validity under ``paper`` differ
from the released rules, transcribed here as plainly as they can be (PROTOCOL.md; SGP-RL at 533171a)?

    python benchmarks/fuzz.py --replies 1000000 --seed 1 [--texts FOLDER]

Replies are made from the hostile corpus, drawings of ``shapes`` and whatever texts with SVG stand in the JSON and SVG files of
FOLDER. Reply number n of a seed is always the same. A fresh process takes each 1,000, since libxml2 never forgets a name.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from xml.etree import ElementTree as ET

from lxml import etree

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from hostile.corpus import corpus  # noqa: E402 - needs the paths above

from sgpbench.records import FinishReason  # noqa: E402
from sgpbench.svg.clean import Unreadable, clean, drawn_text, parse, serialize, without_text  # noqa: E402
from sgpbench.svg.extract import extract  # noqa: E402
from sgpbench.svg.families import with_generic_families  # noqa: E402
from sgpbench.svg.structure import MEASURES, measure  # noqa: E402

CHUNK = 1000
LONGEST_SEED = 12_000
LONGEST_REPLY = 6_000
WAYS = (("last-complete", "namespaces"), ("paper-first", "none"), ("paper-answer", "lxml-recover"))
TOKENS = (
    *(
        "<svg",
        "<svg ",
        "<svg>",
        "</svg>",
        "<svg/>",
        "<SVG>",
        "</svg >",
        "<svg:rect",
        "<foo:bar/>",
        "</foo:bar>",
        "<g>",
        "</g>",
    ),
    *(
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "</think> <answer>",
        "</answer>\n",
        " </answer> ",
        "```svg\n",
        "\n```",
    ),
    *("<text>", "</text>", "<tspan>", "</tspan>", "</textPath>", "<style>", "</style>", "<defs>", "<use href='#a'/>"),
    *(
        "&#xD83D;",
        "&#55357;",
        "&#0;",
        "&#x110000;",
        "&nbsp;",
        "&amp;",
        "&",
        "&lt",
        "&#",
        "&a;",
        "&#xFFFE;",
        "&#x1;",
        "\ufffeurl(http://h)",
    ),
    *(
        "<!--",
        "-->",
        "<!-- a -- b -->",
        "<!-- a --->",
        "<![CDATA[",
        "]]>",
        "<?xml version='1.0'?>",
        "<?pi ?>",
        "<?",
        "?>",
    ),
    *(
        "<!DOCTYPE svg>",
        "<!DOCTYPE svg [<!ENTITY a 'b'>]>",
        "<!ELEMENT g ANY>",
        "]>",
        "\x00",
        "\x01",
        "\ufeff",
        "\ufffe",
        "\uffff",
    ),
    *(
        'xmlns="http://www.w3.org/2000/svg"',
        'xmlns="http://www.w3.org/2000/svg}"',
        'xmlns="a b"',
        "xmlns=''",
        "xmlns:x=''",
    ),
    *(
        'xmlns:a="q}b" a:href="http://h"',
        'xmlns:a="{q" a:b="c"',
        "xmlns:xml='y'",
        "xmlns:xmlns='z'",
        "a:b:c='d'",
        ":a='b'",
    ),
    *(
        ' xlink:href="#a"',
        ' href="http://h/a"',
        ' onload="x()"',
        ' xml:base="http://h"',
        " xml:space='preserve'",
        ' id="a" id="b"',
    ),
    *(
        ' style="fill:url(http://h)"',
        r' style="\75rl(x)"',
        "@import 'x';",
        "image-set('http://h' 1x)",
        " fill='url(#a)'",
        "font-family:a;",
    ),
    *(
        ">",
        "<",
        "/",
        '"',
        "'",
        "=",
        " ",
        "\n",
        "\r\n",
        "\t",
        "{",
        "}",
        "\\",
        "é",
        "🎨",
        "\u2028",
        "İ",
        "<a",
        "<1/>",
        "<-/>",
        "<é/>",
    ),
    *(
        "xml:id='1'",
        "xml:lang='%'",
        "<xml:g/>",
        "<xmlns:g/>",
        "<g xmlns='u'/>",
        "<g:g xmlns:g=''/>",
        "<set attributeName='href'/>",
    ),
    *(
        "<foreignObject><p>x</p></foreignObject>",
        "<script>x</script>",
        "<image href='data:image/png;base64,AAAA'/>",
        "<title>t</title>",
    ),
    "<g>" * 300,
)


# --- the released rules, transcribed ---------------------------------------------------------------------------------


def released_first(reply: str) -> str | None:
    """sgp-compbench: both marks must be there; what lies between the first of each."""
    first, last = reply.find("<svg"), reply.find("</svg>")
    if first == -1 or last == -1:
        return None
    return reply[first : last + 6]


def released_answer(reply: str) -> str | None:
    """Object and scene: the answer's part of a well-formed reply without text; then the last stretch, or an open one."""
    formed = "</think> <answer>" in reply and reply.endswith("</answer>")
    if formed and not any(mark in reply for mark in ("</text>", "</tspan>", "</textPath>")):
        reply = reply.split("<answer>")[-1].replace("</answer>", "")
    stretches = re.findall("<svg .*?</svg>", reply, re.DOTALL)
    if stretches:
        return stretches[-1].strip()
    opened = reply.rfind("<svg")
    return reply[opened:].strip() if opened >= 0 else None


def released_validity(program: str, repair: str) -> bool:
    """Whether the released code has something to draw: ElementTree reads it, for object and scene what lxml makes of it."""
    try:
        if repair == "none":
            ET.fromstring(program)
        else:
            ET.fromstring(etree.tostring(etree.fromstring(program.encode(), etree.XMLParser(recover=True))))
    except (ET.ParseError, etree.LxmlError, UnicodeError, TypeError):  # TypeError: nothing was recovered
        return False
    return True


# --- replies -----------------------------------------------------------------------------------------------------------


def texts_in(value: object) -> Iterator[str]:
    """Every text with SVG in a JSON document."""
    if isinstance(value, str):
        if "<svg" in value:
            yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts_in(item)


@cache
def seeds(folder: Path | None) -> tuple[str, ...]:
    """The replies to start from; long ones are left out."""
    found = [item.program() for item in corpus(Path(tempfile.gettempdir()) / "canary.png", "127.0.0.1:9")]
    from verifier import faulty_cases, right_cases

    found += [case.svg for case in [*right_cases(1, 60), *faulty_cases(2, 60)]]
    for path in sorted(folder.rglob("*")) if folder else []:
        if path.suffix == ".json":
            found += texts_in(json.loads(path.read_text("utf-8")))
        elif path.suffix == ".svg":
            found.append(path.read_text("utf-8"))
    return tuple(dict.fromkeys(text for text in found if len(text) <= LONGEST_SEED))


def reply(number: int, seed: int, texts: tuple[str, ...]) -> str:
    """One mutated reply."""
    rng = Random(f"{seed} {number}")
    text = rng.choice(texts)
    if len(text) > LONGEST_REPLY:
        start = rng.randrange(len(text) - LONGEST_REPLY)
        text = text[:200] + text[start : start + LONGEST_REPLY] + text[-100:]
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5, 8))):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice((0, 1, 1, 3, 10, 60, 400)))
        way = rng.randrange(8)
        if way < 3:
            text = text[:start] + rng.choice(TOKENS) + text[start if way else end :]
        elif way == 3:
            text = text[:start] + text[end:]
        elif way == 4:
            text = text[:end] + text[start:]
        elif way == 5:
            text = (
                text[:start]
                + chr(rng.choice((rng.randrange(0x80), rng.randrange(0xD800), rng.randrange(0xE000, 0x110000))))
                + text[end:]
            )
        elif way == 6:
            other = rng.choice(texts)
            place = rng.randrange(len(other) + 1)
            text = text[:start] + other[place : place + 300] + text[end:]
        else:
            text = text[:start] if rng.random() < 0.3 else text.replace(rng.choice(TOKENS), rng.choice(TOKENS), 1)
    frame = rng.randrange(6)
    if frame < 4:
        return text
    ending = rng.choice(("", "", "\n", " ", " bye"))
    return (
        f"<think>{rng.choice(TOKENS)}</think> <answer>{text}</answer>{ending}"
        if frame == 4
        else f"Here: {text}{ending}"
    )


# --- one reply -----------------------------------------------------------------------------------------------------------


@dataclass
class Findings:
    """What a number of replies showed."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, other: Findings) -> None:
        self.counts += other.counts
        self.faults += other.faults


def judge(text: str, label: str) -> Findings:
    """One reply through everything, under both protocols."""
    found = Findings(Counter(replies=1))
    for rule, repair in WAYS:
        program = extract(text, FinishReason.STOP, rule).program
        if rule != "last-complete":
            expected = released_first(text) if rule == "paper-first" else released_answer(text)
            if expected != program:
                found.faults.append(f"{label} {rule}: extracted {program!r:.200}, released {expected!r:.200}")
        if program is None:
            found.counts[f"{rule}: no program"] += 1
            continue
        try:
            valid = _taken_apart(program, repair)
        except Exception:  # noqa: BLE001 - this is what is being looked for
            found.counts["errors of ours"] += 1
            found.faults.append(f"{label} {rule}: {traceback.format_exc(limit=-2)}")
            continue
        found.counts[f"{rule}: {'valid' if valid else 'invalid'}"] += 1
        if rule != "last-complete" and valid != released_validity(program, repair):
            found.counts["validity differs"] += 1
            found.faults.append(
                f"{label} {rule}: valid here {valid}, in the released code {not valid}: {program!r:.300}"
            )
    return found


def _taken_apart(program: str, repair: str) -> bool:
    """All that a worker does with a program but the drawing; whether it is XML."""
    try:
        parsed = parse(program, repair)
    except Unreadable:
        return False
    clean(parsed.root)
    text = drawn_text(parsed.root)
    written = serialize(parsed.root)
    written.encode()
    assert set(measure(parsed.root, program, text)) == set(MEASURES)
    if text:
        serialize(without_text(parsed.root))
    if repair == "namespaces":
        with_generic_families(parsed.root)
    return True


def chunk(arguments: tuple[int, int, int, str | None]) -> Findings:
    """The replies from one number to another."""
    start, end, seed, folder = arguments
    texts = seeds(Path(folder) if folder else None)
    found = Findings()
    for number in range(start, end):
        found.add(judge(reply(number, seed, texts), f"seed {seed} reply {number}"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replies", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--texts", type=Path, help="a folder of JSON or SVG files with drawings to start from")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--show", type=int, metavar="N", help="print reply N and what becomes of it")
    options = parser.parse_args()
    folder = str(options.texts) if options.texts else None
    texts = seeds(options.texts)
    if options.show is not None:
        text = reply(options.show, options.seed, texts)
        print(text, *judge(text, "").faults, sep="\n")
        return
    begun = time.monotonic()
    total = Findings()
    work = [
        (start, min(options.replies, start + CHUNK), options.seed, folder) for start in range(0, options.replies, CHUNK)
    ]
    # Forked, so that the seeds are there already.
    with multiprocessing.get_context("fork").Pool(options.jobs, maxtasksperchild=1) as pool:
        for done, found in enumerate(pool.imap(chunk, work), 1):
            total.add(found)
            for fault in found.faults:
                print(fault, file=sys.stderr)
            if done % 50 == 0:
                print(
                    f"{done * CHUNK:,} replies, {len(total.faults)} faults, {time.monotonic() - begun:.0f} s",
                    file=sys.stderr,
                )
    for name, count in sorted(total.counts.items()):
        print(f"{count:>12,}  {name}")
    verdict = "FAILED" if total.faults else "passed"
    print(f"{len(texts)} seeds; {verdict}: {len(total.faults)} faults in {options.replies:,} replies")
    raise SystemExit(bool(total.faults))


if __name__ == "__main__":
    main()
