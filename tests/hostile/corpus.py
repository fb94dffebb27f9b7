"""Programs meant to break whoever renders them, each with what must become of it under ``v1``.

``corpus(canary, address)`` makes them all: ``canary`` is a PNG file that no rendering may show, ``address`` a listening
socket that must stay unvisited. Where several outcomes are right (a drawing that is slow here and refused elsewhere),
all of them are named; none may be anything else.
"""

# ruff: noqa: E501 - drawings are clearer in one piece

from __future__ import annotations

import base64
import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sgpbench.records import Flag, Outcome

OK = frozenset({Outcome.OK})
ERROR = frozenset({Outcome.RENDER_ERROR})
TIMEOUT = frozenset({Outcome.RENDER_TIMEOUT})
CRASH = frozenset({Outcome.RENDER_CRASH})
BROKEN = ERROR | TIMEOUT | CRASH
ANY = OK | BROKEN

NS = 'xmlns="http://www.w3.org/2000/svg"'
XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
SQUARE = '<rect x="2" y="2" width="5" height="5" fill="green"/>'


@dataclass(frozen=True, slots=True)
class Hostile:
    """One program. ``program`` is a function, so that the large ones exist only one at a time."""

    name: str
    program: Callable[[], str]
    outcomes: frozenset[Outcome]
    flags: frozenset[Flag] = frozenset()
    """Flags that a drawing of it must have; of has_script, has_external_ref and has_raster it may have no others."""

    @property
    def may_take_long(self) -> bool:
        """Whether running into the time limit is one of its right outcomes."""
        return Outcome.RENDER_TIMEOUT in self.outcomes


def svg(body: str, attributes: str = 'viewBox="0 0 9 9"') -> str:
    return f"<svg {NS} {XLINK} {attributes}>{body}</svg>"


def png(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("1", (width, height)).save(stream, "PNG", optimize=False, compress_level=9)
    return stream.getvalue()


def png_header_lie(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""
    data = png(1, 1)
    head = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + data[24:29]
    return data[:12] + head + zlib.crc32(head).to_bytes(4, "big") + data[33:]


def data_uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def image(href: str) -> str:
    return f'{SQUARE}<image href="{href}" width="9" height="9"/>'


def use_bomb(levels: int, copies: int) -> str:
    defs = '<g id="l0"><rect width="1" height="1"/></g>'
    for level in range(1, levels):
        defs += f'<g id="l{level}">' + f'<use href="#l{level - 1}"/>' * copies + "</g>"
    return svg(f'<defs>{defs}</defs><use href="#l{levels - 1}"/>')


def filtered(
    primitive: str, attributes: str = 'x="-5" y="-5" width="20" height="20" filterUnits="userSpaceOnUse"'
) -> str:
    return svg(f'<filter id="f" {attributes}>{primitive}</filter><g filter="url(#f)">{SQUARE}</g>')


ENTITY_BOMB = (
    '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(12))
    + "]>"
)


def structure_attacks() -> list[Hostile]:
    return [
        Hostile("empty", lambda: "", ERROR),
        Hostile("white space", lambda: " \n\t" * 1000, ERROR),
        Hostile("not XML", lambda: "<svg this is not xml</svg>", ERROR),
        Hostile("binary", lambda: "\x00\x01\x02\x7f" * 1000, ERROR),
        Hostile("NUL in an attribute", lambda: svg('<rect width="\x00"/>'), ERROR),
        Hostile("NUL between elements", lambda: svg(f"{SQUARE}\x00"), ERROR),
        Hostile("control characters", lambda: svg("<text>\x0b\x1b[31m</text>"), ERROR),
        Hostile("character reference to NUL", lambda: svg("<text>&#0;</text>"), ERROR),
        Hostile("lone surrogates", lambda: svg("<text>\ud800\udfff\udc80</text>"), ERROR),
        Hostile("invalid UTF-8 read as Latin-1", lambda: svg(b"<text>\xff\xfe\xc3\x28</text>".decode("latin-1")), OK),
        Hostile(
            "invalid UTF-8 kept by surrogates",
            lambda: svg(b"\xff\xfe\xc3\x28".decode("utf-8", "surrogateescape")),
            ERROR,
        ),
        Hostile("byte order mark", lambda: "\ufeff" + svg(SQUARE), OK),
        Hostile("false encoding declaration", lambda: f'<?xml version="1.0" encoding="UTF-16"?>{svg(SQUARE)}', OK),
        Hostile("100,000 nested groups", lambda: svg("<g>" * 100_000 + "</g>" * 100_000), ERROR),
        Hostile("100,000 groups never closed", lambda: svg("<g>" * 100_000), ERROR),
        Hostile("3,000 nested groups", lambda: svg("<g>" * 3000 + SQUARE + "</g>" * 3000), ERROR),
        Hostile("500 nested groups", lambda: svg("<g>" * 500 + SQUARE + "</g>" * 500), OK),
        Hostile(
            "500 nested groups with opacity",
            lambda: svg('<g opacity=".99">' * 500 + SQUARE + "</g>" * 500),
            OK | CRASH | TIMEOUT,
        ),
        Hostile("1,000 nested svg", lambda: svg("<svg>" * 1000 + SQUARE + "</svg>" * 1000), ANY),
        Hostile(
            "500 nested tspan", lambda: svg('<text y="5">' + "<tspan>" * 500 + "x" + "</tspan>" * 500 + "</text>"), ANY
        ),
        Hostile("100,000 elements", lambda: svg("<g/>" * 100_000), OK | TIMEOUT),
        Hostile(
            "30,000 attributes",
            lambda: svg("<g " + " ".join(f'a{i}=""' for i in range(30_000)) + "/>"),
            OK | ERROR | TIMEOUT,
        ),
        Hostile("an attribute of 900 kB", lambda: svg(f'<g id="{"a" * 900_000}"/>'), OK),
        Hostile("a name of 900 kB", lambda: svg(f"<{'a' * 900_000}/>"), OK | ERROR),
        Hostile("a comment of 900 kB", lambda: svg(f"<!--{'- ' * 450_000}-->{SQUARE}"), OK),
        Hostile("a comment without end", lambda: svg("<!--" * 200_000), ERROR),
        Hostile("CSS comments without end", lambda: svg(f"<style>{'/*' * 400_000}</style>{SQUARE}"), OK),
        Hostile("10 MB path", lambda: svg(f'<path d="M0 0{" L1 1" * 2_000_000}"/>'), ERROR),
        Hostile("900 kB path", lambda: svg(f'<path d="M0 0{" L1 8 9 1" * 90_000}" stroke="red"/>'), OK | TIMEOUT),
        Hostile("900 kB of arcs", lambda: svg(f'<path d="M0 0{"a9 9 0 1 1 1 1" * 60_000}"/>'), OK | TIMEOUT),
        Hostile("900 kB of text", lambda: svg(f'<text y="5">{"W" * 900_000}</text>'), ANY, frozenset({Flag.HAS_TEXT})),
        Hostile(
            "combining marks",
            lambda: svg(f'<text y="5">a{chr(0x301) * 50_000}</text>'),
            ANY,
            frozenset({Flag.HAS_TEXT}),
        ),
        Hostile("SVG in capitals", lambda: svg(SQUARE).replace("svg ", "SVG ", 1).replace("</svg>", "</SVG>"), ERROR),
        Hostile("another namespace", lambda: '<svg xmlns="http://example.org/">' + SQUARE + "</svg>", ERROR),
        Hostile("a prefix never declared", lambda: svg("<sodipodi:namedview/>"), ERROR),
        Hostile("an attribute twice", lambda: svg('<rect x="1" x="2"/>'), ERROR),
    ]


def size_attacks() -> list[Hostile]:
    return [
        Hostile("canvas of 1e9", lambda: svg(SQUARE, 'width="1e9" height="1e9"'), OK),
        Hostile("canvas of 1e9 by viewBox", lambda: svg(SQUARE, 'viewBox="0 0 1e9 1e9"'), OK),
        Hostile("canvas of 1e38", lambda: svg(SQUARE, 'width="1e38" height="1e38"'), OK | ERROR),
        Hostile("canvas of 1e400", lambda: svg(SQUARE, 'width="1e400" height="1e400"'), OK | ERROR),
        Hostile("canvas 1e7 to 1", lambda: svg(SQUARE, 'width="1e7" height="1"'), OK),
        Hostile("canvas 1 to 1e7", lambda: svg(SQUARE, 'viewBox="0 0 1 1e7"'), OK),
        Hostile("canvas of 0", lambda: svg(SQUARE, 'width="0" height="0"'), ERROR),
        Hostile("negative canvas", lambda: svg(SQUARE, 'width="-9" height="9"'), ERROR),
        Hostile("canvas of NaN", lambda: svg(SQUARE, 'width="NaN" height="NaN" viewBox="0 0 9 9"'), OK | ERROR),
        Hostile("viewBox of NaN and infinity", lambda: svg(SQUARE, 'viewBox="0 0 NaN inf"'), OK | ERROR),
        Hostile("per cent of nothing", lambda: svg(SQUARE, 'width="100%" height="100%"'), OK),
        Hostile(
            "NaN coordinates",
            lambda: svg('<rect x="NaN" y="nan" width="5" height="5"/><path d="M NaN 3 L inf 4"/>'),
            OK,
        ),
        Hostile("infinite coordinates", lambda: svg('<circle cx="inf" cy="-Infinity" r="1e999"/>'), OK | ERROR),
        Hostile("huge coordinates", lambda: svg('<path d="M0 0L1e38 1e38L-1e38 3e38Z" stroke="blue"/>'), ANY),
        Hostile(
            "huge arcs and strokes",
            lambda: svg(
                '<rect x="1e30" width="1e38" height="1e38" stroke-width="1e20"/><path d="M0 0L1e38 1e38A1e20 1e20 0 0 0 -1e38 3" stroke="red"/>'
            ),
            ANY,
        ),
        Hostile(
            "huge transform", lambda: svg(f'<g transform="scale(1e30) rotate(1e30) translate(1e38)">{SQUARE}</g>'), ANY
        ),
        Hostile("singular transform", lambda: svg(f'<g transform="matrix(0 0 0 0 0 0)">{SQUARE}</g>'), OK),
        Hostile("endless dashes", lambda: svg('<path d="M0 0H1e6" stroke="red" stroke-dasharray="1e-6"/>'), ANY),
        Hostile(
            "a million dots", lambda: svg('<path d="M0 0H9" stroke="red" stroke-dasharray="0.000001 0.000001"/>'), ANY
        ),
        Hostile(
            "stroke of 1e38",
            lambda: svg('<path d="M0 0H9V9" stroke="red" stroke-width="1e38" stroke-linejoin="round"/>'),
            ANY,
        ),
        Hostile("font of 1e9", lambda: svg('<text y="5" font-size="1e9">A</text>'), ANY, frozenset({Flag.HAS_TEXT})),
    ]


def cost_attacks() -> list[Hostile]:
    return [
        Hostile("entity bomb", lambda: ENTITY_BOMB + svg("<text>&l;</text>"), ERROR),
        Hostile("entity bomb in an attribute", lambda: ENTITY_BOMB + svg('<g id="&l;"/>'), ERROR),
        Hostile("entities never used", lambda: ENTITY_BOMB + svg(SQUARE), OK),
        Hostile(
            "quadratic entity",
            lambda: f'<!DOCTYPE svg [<!ENTITY a "{"a" * 100_000}">]>' + svg(f"<text>{'&a;' * 9000}</text>"),
            ERROR,
        ),
        Hostile("DOCTYPE without end", lambda: "<!DOCTYPE svg [" + "<!ENTITY a 'b'>" * 1000 + svg(SQUARE), ERROR),
        Hostile("use bomb", lambda: use_bomb(30, 10), OK | BROKEN),
        Hostile("small use bomb", lambda: use_bomb(6, 10), OK | BROKEN),
        Hostile("use of itself", lambda: svg(f'<g id="a">{SQUARE}<use href="#a"/></g>'), OK | ERROR),
        Hostile(
            "two that use each other",
            lambda: svg('<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>'),
            OK | ERROR,
        ),
        Hostile(
            "pattern of itself",
            lambda: svg(
                '<pattern id="p" width="1" height="1"><rect width="9" height="9" fill="url(#p)"/></pattern><rect width="9" height="9" fill="url(#p)"/>'
            ),
            OK | ERROR,
        ),
        Hostile(
            "gradient of itself",
            lambda: svg(
                '<linearGradient id="a" href="#b"/><linearGradient id="b" href="#a"/><rect width="9" height="9" fill="url(#a)"/>'
            ),
            OK | ERROR,
        ),
        Hostile(
            "mask of itself",
            lambda: svg(
                '<mask id="m"><rect width="9" height="9" mask="url(#m)" fill="#fff"/></mask><g mask="url(#m)"><rect width="9" height="9"/></g>'
            ),
            OK | ERROR,
        ),
        Hostile(
            "clip path of itself",
            lambda: svg(f'<clipPath id="c" clip-path="url(#c)">{SQUARE}</clipPath><g clip-path="url(#c)">{SQUARE}</g>'),
            OK | ERROR,
        ),
        Hostile(
            "marker of itself",
            lambda: svg(
                '<marker id="m"><path d="M0 0H9" marker-end="url(#m)"/></marker><path d="M0 0H9" marker-end="url(#m)"/>'
            ),
            OK | ERROR,
        ),
        Hostile(
            "filter of itself",
            lambda: svg(f'<filter id="f"><feImage href="#a"/></filter><g id="a" filter="url(#f)">{SQUARE}</g>'),
            OK | ERROR,
        ),
        Hostile(
            "pattern with tiny tiles",
            lambda: svg(
                '<pattern id="p" width="1e-7" height="1e-7" patternUnits="userSpaceOnUse"><rect width="1" height="1"/></pattern><rect width="9" height="9" fill="url(#p)"/>'
            ),
            ANY,
        ),
        Hostile(
            "turbulence of 1e5 octaves",
            lambda: filtered('<feTurbulence baseFrequency="0.5" numOctaves="100000"/>'),
            OK | TIMEOUT,
        ),
        Hostile("blur of 1e9", lambda: filtered('<feGaussianBlur stdDeviation="1e9"/>'), ANY),
        Hostile("300 stacked blurs", lambda: filtered('<feGaussianBlur stdDeviation="50"/>' * 300), OK | TIMEOUT),
        Hostile("2,000 stacked blurs", lambda: filtered('<feGaussianBlur stdDeviation="50"/>' * 2000), ANY),
        Hostile(
            "morphology of 200", lambda: filtered('<feMorphology operator="dilate" radius="200"/>' * 20), OK | TIMEOUT
        ),
        Hostile(
            "convolution of 100 by 100",
            lambda: filtered(f'<feConvolveMatrix order="100" kernelMatrix="{"1 " * 10_000}"/>'),
            OK | TIMEOUT,
        ),
        Hostile(
            "filter region of 1e9",
            lambda: filtered(
                '<feFlood/><feGaussianBlur stdDeviation="9"/>', 'x="-1e9" y="-1e9" width="2e9" height="2e9"'
            ),
            ANY,
        ),
        Hostile(
            "5,000 masks",
            lambda: svg(
                '<mask id="m"><rect width="9" height="9" fill="#fff"/></mask>'
                + f'<g mask="url(#m)">{SQUARE}</g>' * 5000
            ),
            ANY,
        ),
        Hostile(
            "10,000 gradients",
            lambda: svg(
                "".join(
                    f'<radialGradient id="g{i}"><stop stop-color="red"/></radialGradient><rect width="9" height="9" fill="url(#g{i})"/>'
                    for i in range(4000)
                )
            ),
            ANY,
        ),
        Hostile(
            "3,000 floods kept in memory",
            lambda: filtered("".join(f'<feFlood result="r{i}"/>' for i in range(3000))),
            CRASH | TIMEOUT,
        ),
        Hostile(
            "12 pictures of 16 megapixels",
            lambda: svg(image(data_uri(png(4000, 4000))) * 12),
            ANY,
            frozenset({Flag.HAS_RASTER}),
        ),
        Hostile(
            "3,000 masks that mask each other",
            lambda: svg(
                "".join(f'<mask id="m{i}" mask="url(#m{i + 1})">{SQUARE}</mask>' for i in range(3000))
                + f'<g mask="url(#m0)">{SQUARE}</g>'
            ),
            ANY,
        ),
        Hostile(
            "3,000 uses in a chain",
            lambda: svg(
                "".join(f'<g id="u{i}"><use href="#u{i + 1}"/></g>' for i in range(3000)) + '<use href="#u0"/>'
            ),
            OK | BROKEN,
        ),
        Hostile(
            "20,000 CSS rules",
            lambda: svg(
                "<style>"
                + "".join(f"g g g g .c{i}{{fill:red}}" for i in range(20_000))
                + "</style>"
                + '<g class="c1"/>' * 5000
            ),
            ANY,
        ),
    ]


def picture_attacks() -> list[Hostile]:
    raster = frozenset({Flag.HAS_RASTER})
    inner = svg(SQUARE).encode()
    return [
        Hostile("embedded picture", lambda: svg(image(data_uri(png(8, 8)))), OK, raster),
        Hostile("zip bomb in a PNG", lambda: svg(image(data_uri(png(12_000, 12_000)))), OK, raster),
        Hostile(
            "PNG that claims 2 billion pixels", lambda: svg(image(data_uri(png_header_lie(50_000, 50_000)))), OK, raster
        ),
        Hostile("broken PNG", lambda: svg(image(data_uri(png(8, 8)[:40]))), OK, raster),
        Hostile("broken base64", lambda: svg(image("data:image/png;base64,@@@=")), OK, raster),
        Hostile("picture without data", lambda: svg(image("data:image/png;base64")), OK, raster),
        Hostile("800 kB of base64", lambda: svg(image("data:image/png;base64," + "A" * 800_000)), OK, raster),
        Hostile("2,000 pictures", lambda: svg(image(data_uri(png(8, 8))) * 2000), OK | TIMEOUT, raster),
        Hostile("SVG in SVG", lambda: svg(image(data_uri(inner, "image/svg+xml"))), OK),
        Hostile("SVG called PNG", lambda: svg(image(data_uri(inner, "image/png"))), OK, raster),
        Hostile(
            "zip bomb as svgz",
            lambda: svg(image(data_uri(gzip.compress(b"<svg>" + b" " * 20_000_000), "image/svg+xml"))),
            OK,
        ),
        Hostile(
            "zip bomb as svgz called PNG",
            lambda: svg(image(data_uri(gzip.compress(b"<svg>" + b" " * 20_000_000)))),
            OK,
            raster,
        ),
        Hostile("data URI in use", lambda: svg(f'{SQUARE}<use href="{data_uri(inner, "image/svg+xml")}#a"/>'), OK),
        Hostile("data URI in a filter", lambda: filtered(f'<feImage href="{data_uri(inner, "image/svg+xml")}"/>'), OK),
    ]


def outside_attacks(canary: Path, address: str) -> list[Hostile]:
    """Programs that reach for a file or a server. Drawn or not, what they reach for must not be touched."""
    external = frozenset({Flag.HAS_EXTERNAL_REF})
    script = frozenset({Flag.HAS_SCRIPT})
    http = f"http://{address}/x"
    reaches = {
        "absolute path": str(canary),
        "file address": canary.as_uri(),
        "file address in capitals": canary.as_uri().replace("file", "FILE"),
        "file address behind white space": f"&#9;&#10; {canary.as_uri()}",
        "file address with a host": f"file://localhost{canary}",
        "relative path": f"../../../../../..{canary}",
        "http address": f"{http}.png",
        "address without a scheme": f"//{address}/x.png",
        "network path": f"\\\\{address}\\x.png",
        "process file": "/proc/self/environ",
        "device": "/dev/zero",
    }
    return [
        *(
            Hostile(f"image by {name}", lambda href=href: svg(image(href)), OK, external)
            for name, href in reaches.items()
        ),
        Hostile(
            "image by xlink", lambda: svg(f'{SQUARE}<image xlink:href="{canary}" width="9" height="9"/>'), OK, external
        ),
        Hostile(
            "image by both",
            lambda: svg(f'{SQUARE}<image href="#a" xlink:href="{canary}" width="9" height="9"/>'),
            OK,
            external,
        ),
        Hostile(
            "image in a pattern",
            lambda: svg(
                f'<pattern id="p" width="9" height="9"><image href="{canary}" width="9" height="9"/></pattern><rect width="9" height="9" fill="url(#p)"/>'
            ),
            OK,
            external,
        ),
        Hostile("feImage", lambda: filtered(f'<feImage href="{canary}"/>'), OK, external),
        Hostile("use of a file", lambda: svg(f'{SQUARE}<use href="{canary.as_uri()}#a"/>'), OK, external),
        Hostile("gradient of a file", lambda: svg(f'<linearGradient id="g" href="{http}#a"/>{SQUARE}'), OK, external),
        Hostile(
            "image below xml:base",
            lambda: svg(
                f'{SQUARE}<g xml:base="{canary.parent.as_uri()}/"><image href="{canary.name}" width="9" height="9"/></g>'
            ),
            OK,
            external,
        ),
        Hostile(
            "image set by animation",
            lambda: svg(f'{SQUARE}<image width="9" height="9"><set attributeName="href" to="{canary}"/></image>'),
            OK,
        ),
        Hostile(
            "external entity",
            lambda: f'<!DOCTYPE svg [<!ENTITY x SYSTEM "{canary.as_uri()}">]>' + svg("<text>&x;</text>"),
            ERROR,
        ),
        Hostile(
            "external parameter entity",
            lambda: f'<!DOCTYPE svg [<!ENTITY % x SYSTEM "{http}.dtd"> %x;]>' + svg(SQUARE),
            OK,
        ),
        Hostile("external DTD", lambda: f'<!DOCTYPE svg SYSTEM "{http}.dtd">' + svg(SQUARE), OK),
        Hostile(
            "XInclude",
            lambda: svg(
                f'{SQUARE}<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{canary.as_uri()}" parse="text"/>'
            ),
            OK,
            external,
        ),
        Hostile(
            "style sheet by instruction", lambda: f'<?xml-stylesheet href="{http}.css"?>' + svg(SQUARE), OK, external
        ),
        Hostile(
            "style sheet by link", lambda: svg(f'<link rel="stylesheet" href="{http}.css"/>{SQUARE}'), OK, external
        ),
        Hostile(
            "CSS import",
            lambda: svg(f'<style>@import url("{http}.css"); @import "{http}.css";</style>{SQUARE}'),
            OK,
            external,
        ),
        Hostile(
            "CSS import in CDATA", lambda: svg(f"<style><![CDATA[@IMPORT '{http}.css']]></style>{SQUARE}"), OK, external
        ),
        Hostile(
            "CSS address", lambda: svg(f'<rect width="9" height="9" style="fill:url({http}.svg#a)"/>'), OK, external
        ),
        Hostile(
            "CSS address escaped",
            lambda: svg(f'<rect width="9" height="9" style="fill:\\75rl({http}.svg#a)"/>'),
            OK,
            external,
        ),
        Hostile(
            "CSS address in an attribute",
            lambda: svg(f'<rect width="9" height="9" filter="url(\'{http}.svg#a\')"/>'),
            OK,
            external,
        ),
        Hostile(
            "CSS font",
            lambda: svg(f"<style>@font-face{{font-family:x;src:url({http}.woff)}}</style>{SQUARE}"),
            OK,
            external,
        ),
        Hostile("script", lambda: svg(f'<script>fetch("{http}")</script>{SQUARE}'), OK, script),
        Hostile("script from elsewhere", lambda: svg(f'<script href="{http}.js"/>{SQUARE}'), OK, script | external),
        Hostile(
            "event handlers",
            lambda: svg(f'<rect width="5" height="5" onload="fetch(\'{http}\')" onClick="x()"/>'),
            OK,
            script,
        ),
        Hostile("javascript address", lambda: svg(f'<a href=" java&#10;script:fetch(1)">{SQUARE}</a>'), OK, script),
        Hostile(
            "foreign object",
            lambda: svg(
                f'{SQUARE}<foreignObject width="9" height="9"><iframe xmlns="http://www.w3.org/1999/xhtml" src="{http}"/></foreignObject>'
            ),
            OK,
            external,
        ),
        Hostile("link", lambda: svg(f'<a href="{http}">{SQUARE}</a>'), OK),
    ]


def corpus(canary: Path, address: str) -> list[Hostile]:
    return [
        *structure_attacks(),
        *size_attacks(),
        *cost_attacks(),
        *picture_attacks(),
        *outside_attacks(canary, address),
    ]
