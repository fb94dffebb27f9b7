"""Replies for the parity test: drawings made from a seed, and crooked ones, in all the frames that models put them in."""

from __future__ import annotations

import random

__all__ = ["drawing", "replies"]

_NS = 'xmlns="http://www.w3.org/2000/svg"'
_COLOURS = ("red", "#1a7f37", "steelblue", "rgb(250,180,20)", "#639", "hsl(20,80%,50%)", "white", "black", "orange")


def drawing(seed: int) -> str:
    """A drawing of a few shapes with gradients, groups, transforms and opacity."""
    rng = random.Random(seed)
    width, height = rng.choice([(200, 200), (256, 256), (300, 180), (120, 240), (512, 512), (640, 360)])

    def x() -> int:
        return rng.randrange(width)

    def y() -> int:
        return rng.randrange(height)

    shapes = [f'<rect width="100%" height="100%" fill="{rng.choice(_COLOURS)}"/>'] if rng.random() < 0.7 else []
    for number in range(rng.randrange(2, 9)):
        look = f'fill="{rng.choice(_COLOURS)}" stroke="{rng.choice(_COLOURS)}" stroke-width="{rng.randrange(6)}"'
        if rng.random() < 0.3:
            look += f' opacity="{rng.uniform(0.2, 1):.2f}"'
        shapes.append(
            rng.choice(
                [
                    f'<circle cx="{x()}" cy="{y()}" r="{rng.randrange(4, 80)}" {look}/>',
                    f'<ellipse cx="{x()}" cy="{y()}" rx="{rng.randrange(4, 90)}" ry="{rng.randrange(4, 50)}" {look}/>',
                    f'<rect x="{x()}" y="{y()}" width="{x()}" height="{y()}" rx="{rng.randrange(20)}" {look}/>',
                    f'<path d="M{x()} {y()} C{x()} {y()} {x()} {y()} {x()} {y()} L{x()} {y()} Z" {look}/>',
                    f'<polygon points="{x()},{y()} {x()},{y()} {x()},{y()}" {look}/>',
                    f'<g transform="rotate({rng.randrange(90)} {x()} {y()})"><line x1="{x()}" y1="{y()}" x2="{x()}" '
                    f'y2="{y()}" {look}/></g>',
                    f'<defs><linearGradient id="g{number}"><stop offset="0" stop-color="{rng.choice(_COLOURS)}"/>'
                    f'<stop offset="1" stop-color="{rng.choice(_COLOURS)}"/></linearGradient></defs>'
                    f'<circle cx="{x()}" cy="{y()}" r="60" fill="url(#g{number})"/>',
                ]
            )
        )
    size = f'viewBox="0 0 {width} {height}"'
    if rng.random() < 0.8:
        size += f' width="{width}" height="{height}"'
    return f"<svg {size} {_NS}>{''.join(shapes)}</svg>"


_BALL = '<circle cx="40" cy="40" r="30" fill="red"/>'
_SIZE = f'{_NS} width="80" height="80"'
_WHOLE = f"<svg {_SIZE}>{_BALL}</svg>"

_CROOKED: dict[str, str] = {
    "cut in a tag": f'<svg {_SIZE}>{_BALL}<rect x="3" y="4" wid',
    "cut in an attribute": f'<svg {_SIZE}>{_BALL}<rect x="3" y="4" width="20',
    "cut in a path": f'<svg {_SIZE}>{_BALL}<path fill="blue" d="M0 0 L30 30 L',
    "cut after a prefix": f"<svg {_SIZE}>{_BALL}<svg:rect",
    "a group left open": f'<svg {_SIZE}><g fill="green">{_BALL}<rect width="9" height="9"/></svg>',
    "crossed tags": f'<svg {_SIZE}><g><a>{_BALL}</g><rect width="9" height="9"/></a></svg>',
    "no namespace": f'<svg width="80" height="80">{_BALL}</svg>',
    "another namespace": f'<svg xmlns="http://example.com/" width="80" height="80">{_BALL}</svg>',
    "undeclared xlink": f'<svg {_SIZE}><defs><g id="b">{_BALL}</g></defs><use xlink:href="#b"/></svg>',
    "undeclared prefix": f'<svg {_SIZE}>{_BALL}<foo:bar x="1"/></svg>',
    "sodipodi prefix": f'<svg {_SIZE} sodipodi:docname="a.svg">{_BALL}</svg>',
    "use and defs": f'<svg {_SIZE}><defs><g id="b">{_BALL}</g></defs><use href="#b" x="9"/></svg>',
    "attribute twice": f'<svg {_SIZE}><rect width="9" width="30" height="9"/>{_BALL}</svg>',
    "attribute without quotes": f'<svg {_SIZE}><rect width=9 height=9 fill=blue />{_BALL}</svg>',
    "ampersand": f"<svg {_SIZE}><title>salt & pepper</title>{_BALL}</svg>",
    "named entity": f"<svg {_SIZE}><desc>a&nbsp;b</desc>{_BALL}</svg>",
    "less-than in text": f"<svg {_SIZE}><desc>a < b</desc>{_BALL}</svg>",
    "comment": f"<svg {_SIZE}><!-- the ball -->{_BALL}</svg>",
    "comment with dashes": f'<svg {_SIZE}><!-- a -- b -->{_BALL}<rect width="9" height="9"/></svg>',
    "comment left open": f'<svg {_SIZE}>{_BALL}<!-- and then <rect width="9" height="9"/></svg>',
    "cdata style": f"<svg {_SIZE}><style><![CDATA[circle{{stroke:blue;stroke-width:4}}]]></style>{_BALL}</svg>",
    "style sheet": f"<svg {_SIZE}><style>.a{{fill:blue}} #b{{opacity:.5}}</style>"
    '<rect class="a" id="b" width="60" height="20"/></svg>',
    "style with a broken rule": f"<svg {_SIZE}><style>circle{{fill:blue;;}} @media{{</style>{_BALL}</svg>",
    "xml declaration before": f'<?xml version="1.0" encoding="UTF-8"?>{_WHOLE}',
    "doctype before": f"<!DOCTYPE svg>{_WHOLE}",
    "no size at all": f"<svg {_NS}>{_BALL}</svg>",
    "view box alone": f'<svg {_NS} viewBox="0 0 80 80">{_BALL}</svg>',
    "size in per cent": f'<svg {_NS} width="100%" height="100%" viewBox="0 0 80 60">{_BALL}</svg>',
    "size in millimetres": f'<svg {_NS} width="20mm" height="15mm">{_BALL}</svg>',
    "width without height": f'<svg {_NS} width="80" viewBox="0 0 40 40">{_BALL}</svg>',
    "size 0": f'<svg {_NS} width="0" height="0">{_BALL}</svg>',
    "negative size": f'<svg {_NS} width="-80" height="80">{_BALL}</svg>',
    "size that is no number": f'<svg {_NS} width="wide" height="80">{_BALL}</svg>',
    "negative view box": f'<svg {_NS} width="80" height="80" viewBox="-40 -40 80 80">{_BALL}</svg>',
    "view box of three": f'<svg {_NS} width="80" height="80" viewBox="0 0 80">{_BALL}</svg>',
    "one pixel": f'<svg {_NS} width="1" height="1"><rect width="1" height="1" fill="blue"/></svg>',
    "three pixels high": f'<svg {_NS} width="300" height="3"><rect width="90" height="3" fill="blue"/></svg>',
    "long and thin": f'<svg {_NS} width="1200" height="2"><rect width="600" height="2" fill="blue"/></svg>',
    "tall and thin": f'<svg {_NS} width="2" height="900"><rect width="2" height="300" fill="blue"/></svg>',
    "as long as an input of HPS": f'<svg {_NS} width="224" height="100"><rect width="90" height="99" fill="blue"/></svg>',
    "transparent": f'<svg {_SIZE}><rect width="60" height="60" fill="blue" fill-opacity="0.13"/></svg>',
    "empty": f"<svg {_SIZE}></svg>",
    "empty and short": f"<svg {_SIZE}/>",
    "not a number in a path": f'<svg {_SIZE}><path d="M0 0 L NaN 30 Z" fill="blue"/>{_BALL}</svg>',
    "path without a command": f'<svg {_SIZE}><path d="0 0 30 30" fill="blue"/>{_BALL}</svg>',
    "colour that is none": f'<svg {_SIZE}><rect width="9" height="9" fill="reddish"/>{_BALL}</svg>',
    "transform that is none": f'<svg {_SIZE}><rect transform="turn(3)" width="9" height="9"/>{_BALL}</svg>',
    "gradient that is not there": f'<svg {_SIZE}><rect width="60" height="60" fill="url(#no)"/></svg>',
    "pattern": f'<svg {_SIZE}><defs><pattern id="p" width="10" height="10" patternUnits="userSpaceOnUse">'
    '<rect width="5" height="5" fill="teal"/></pattern></defs><rect width="80" height="80" fill="url(#p)"/></svg>',
    "clip and mask": f'<svg {_SIZE}><defs><clipPath id="c"><rect width="40" height="80"/></clipPath><mask id="m">'
    f'<rect width="80" height="40" fill="white"/></mask></defs><g clip-path="url(#c)" mask="url(#m)">{_BALL}</g></svg>',
    "use of itself": f'<svg {_SIZE}><g id="a">{_BALL}<use href="#a"/></g></svg>',
    "script": f"<svg {_SIZE}><script>alert(1)</script>{_BALL}</svg>",
    "foreign object": f'<svg {_SIZE}><foreignObject width="9" height="9"><p>a</p></foreignObject>{_BALL}</svg>',
    "picture elsewhere": f'<svg {_SIZE}>{_BALL}<image href="http://127.0.0.1:9/a.png" width="9" height="9"/></svg>',
    "svg in svg": f'<svg {_SIZE}>{_BALL}<svg x="20" width="40" height="40"><rect width="40" height="40"/></svg></svg>',
    "animation": f'<svg {_SIZE}><circle r="30"><animate attributeName="r" to="3" dur="1s"/></circle></svg>',
    "umlauts": f"<svg {_SIZE}><title>Bälle – 球</title>{_BALL}</svg>",
    "control character": f"<svg {_SIZE}><desc>a\x08b</desc>{_BALL}</svg>",
    "two roots": f"{_WHOLE}<svg {_SIZE}><rect width='50' height='50' fill='blue'/></svg>",
    "upper case": f'<SVG {_SIZE}>{_BALL}</SVG>',
    "no space after svg": f'<svg\n{_SIZE}>{_BALL}</svg>',
    "text": f'<svg {_SIZE}>{_BALL}<text x="9" y="40" font-size="20">ball</text></svg>',
    "text on a path": f'<svg {_SIZE}><defs><path id="t" d="M5 50 L75 50"/></defs>{_BALL}'
    '<text font-size="18"><textPath href="#t">ball</textPath></text></svg>',
    "tspan": f'<svg {_SIZE}><text x="2" y="40"><tspan fill="red">a</tspan> b</text></svg>',
}  # fmt: skip
"""Name → program."""


def _framed(name: str, program: str) -> dict[str, str]:
    """A program in one of the ways that replies have; which one, its name decides."""
    frames = {
        "as asked": f"I draw it. </think> <answer>{program}</answer>",
        "in a fence": f"I draw it. </think> <answer>\n```svg\n{program}\n```\n</answer>",
        "without tags": f"Here it is:\n\n{program}\n\nDone.",
        "an earlier one first": f"First <svg {_SIZE}></svg>, no. </think> <answer>{program}</answer>",
        "not closed": f"I draw it. </think> <answer>{program}",
        "words behind": f"I draw it. </think> <answer>{program}</answer> \n",
        "two answers": f"</think> <answer><svg {_SIZE}></svg></answer> no: <answer>{program}</answer>",
    }
    frame = random.Random(name).choice(sorted(frames))
    return {f"{name}, {frame}": frames[frame]}


def replies(drawings: int = 60) -> dict[str, str]:
    """Name → reply: ``drawings`` made from seeds, every crooked program as asked and in another frame, and no program."""
    found: dict[str, str] = {}
    for seed in range(drawings):
        found |= _framed(f"drawing {seed}", drawing(seed))
    for name, program in _CROOKED.items():
        found[f"{name}, as asked"] = f"I draw it. </think> <answer>{program}</answer>"
        found |= _framed(name, program)
    found["nothing"] = ""
    found["words alone"] = "I cannot draw that. </think> <answer>Sorry.</answer>"
    found["only a start"] = "</think> <answer><svg"
    found["only a word"] = "An <svg element would do."
    found["an end alone"] = "</svg></answer>"
    found["answer in capitals"] = f"</THINK> <ANSWER>{_WHOLE}</ANSWER>"
    found["white space of other kinds"] = f"</think> <answer>\u00a0{_WHOLE}\u2028\u00a0</answer>"
    found["cut with white space behind"] = f"<svg {_SIZE}>{_BALL}<g> \u00a0\n\x1f"
    return found
