"""Parses a program and takes out whatever could reach outside it or run.

Runs inside the sandbox only. Parsing never expands anything: what stands before the root element (XML declaration,
DOCTYPE with its entities, processing instructions) is cut off unread, so an entity of one's own is an XML error.

Taken out, each with its flag where there is one:

- ``script``, ``handler`` and ``listener`` elements, ``on…`` attributes, ``javascript:`` addresses (``has_script``);
- every ``href`` or ``src`` that does not point into the drawing, ``@import`` and ``url()`` likewise, style sheets
  by processing instruction or ``link`` (``has_external_ref``; links of ``a`` elements go without a flag, since nothing
  loads them);
- pictures in ``data:`` URIs that are not PNG, JPEG, GIF or WebP by their own bytes, or too large. The others stay
  (``has_raster``, also where one was too large);
- ``foreignObject`` and every element of another namespace, which no renderer here draws; comments; ``xml:base``;
  animations of ``href`` and of event handlers.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from lxml import etree

from sgpbench.records import Flag
from sgpbench.svg.grader_text import addresses_judge
from sgpbench.svg.references import classify, clean_css, is_raster

if TYPE_CHECKING:
    from sgpbench.protocol import Repair

__all__ = [
    "CLEANER_VERSION",
    "SVG_NAMESPACE",
    "Parsed",
    "Unreadable",
    "clean",
    "drawn_text",
    "home_name",
    "parse",
    "serialize",
    "without_text",
]

CLEANER_VERSION = "3"
SVG_NAMESPACE = "http://www.w3.org/2000/svg"
XLINK_NAMESPACE = "http://www.w3.org/1999/xlink"

_SCRIPTS = frozenset({"script", "handler", "listener"})
_DROPPED = frozenset({"foreignObject", "iframe", "object", "embed", "video", "audio", "link"}) | _SCRIPTS
_ANIMATIONS = frozenset({"set", "animate", "animateTransform", "animateMotion", "animateColor"})
_NOT_DRAWN = frozenset({"title", "desc", "metadata", "style"})
_PICTURES = frozenset({"image", "feImage"})
_DOOMED = "{https://sgpbench.invalid/}doomed"
_ILLEGAL = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ufffe\\uffff]")
_BLACK = re.compile(r"[^\s\ufeff]")
_DOCTYPE = re.compile(r"<!DOCTYPE\b", re.IGNORECASE)
_SUBSET_END = re.compile(r"\]\s*>")
_START_TAG = re.compile(r"""(?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+""")
_DECLARES = {
    "": re.compile(r"\sxmlns\s*="),
    "xlink": re.compile(r"\sxmlns:xlink\s*="),
}


class Unreadable(ValueError):
    """The program is not XML, also after the repair that the protocol allows."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A program as a tree, not yet cleaned."""

    root: etree._Element
    flags: frozenset[Flag]
    """``repaired``, and ``has_external_ref`` where a style sheet stood before the root."""


# --- parsing -------------------------------------------------------------------------------------------------------


def parse(program: str, repair: Repair) -> Parsed:
    """The program as a tree, repaired as far as the protocol allows; nothing is expanded or fetched.

    Raises:
        Unreadable: it is not XML; the message is the parser's.
    """
    try:
        program.encode()
    except UnicodeEncodeError:
        raise Unreadable("not XML: it holds surrogates, which are no characters") from None
    prolog, body = _split_prolog(program)
    flags = {Flag.HAS_EXTERNAL_REF} if "<?xml-stylesheet" in prolog else set()
    if repair == "namespaces":
        declared = _with_namespaces(body)
        if declared != body:
            flags.add(Flag.REPAIRED)
            body = declared
    if repair == "lxml-recover":
        root, repaired = _recovered(body)
        if repaired:
            flags.add(Flag.REPAIRED)
    else:
        root = _well_formed(body, as_elementtree=repair == "none")
    return Parsed(root, frozenset(flags))


def _well_formed(body: str, *, as_elementtree: bool) -> etree._Element:
    """The tree of a program that is XML as it stands.

    Args:
        body: the program from its root element on.
        as_elementtree: refuse exactly what Python's ElementTree refuses, as the released code does.

    Raises:
        Unreadable: it is not XML.
    """
    strict = _parser(recover=False, huge=True)
    try:
        root = _read(body, strict)
        if as_elementtree:
            _require_expat(body.encode())
        return root
    except etree.XMLSyntaxError as error:
        # Well-formed all the same: other parsers, and the renderers, take names that are no addresses.
        if not as_elementtree and not _complains_of_namespaces_alone(strict):
            raise Unreadable(_message(error)) from None
        try:
            _require_expat(body.encode())
        except Unreadable:
            raise Unreadable(_message(error)) from None
        return _read(body, _parser(recover=True, huge=True))


def _recovered(body: str) -> tuple[etree._Element, bool]:
    """The tree that the released code draws, and whether anything had to be mended for it.

    The released code lets lxml recover what it can, with its usual limits, writes the result, and gives that to
    CairoSVG, which reads it with expat. So what lxml recovers but cannot write, or expat refuses (a comment with two
    hyphens, a prefix that nobody declared), is no drawing.

    Raises:
        Unreadable: as said.
    """
    strict = _parser(recover=False, huge=False)
    repaired = False
    try:
        _read(body, strict)
    except etree.XMLSyntaxError:
        repaired = not _complains_of_namespaces_alone(strict)
    try:
        root = _read(body, _parser(recover=True, huge=False))
        # Entities that nobody declared: recovery as the released code does it leaves them out.
        etree.strip_elements(root, etree.Entity, with_tail=False)
        written = etree.tostring(root, with_tail=False)
    except etree.XMLSyntaxError as error:
        raise Unreadable(_message(error)) from None
    except etree.SerialisationError as error:
        raise Unreadable(f"not XML: what can be recovered cannot be written ({error})") from None
    _require_expat(written)
    etree.strip_tags(root, etree.Comment, etree.ProcessingInstruction)
    return root, repaired


def _parser(*, recover: bool, huge: bool) -> etree.XMLParser:
    # huge_tree lifts limits on depth and length that would refuse what the renderers can draw. It is safe only because
    # no DOCTYPE, and so no entity, can reach the parser, and because the worker's memory is limited. Comments stay
    # without it, since whether they are well-formed is for expat to say.
    return etree.XMLParser(
        recover=recover,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=huge,
        remove_comments=huge,
        remove_pis=huge,
    )


def _read(body: str, parser: etree.XMLParser) -> etree._Element:
    # With recover, lxml returns None for hopeless input, whatever its stubs say.
    root: etree._Element | None = etree.fromstring(body.encode(), parser)
    if root is None:
        raise Unreadable("not XML: nothing in it can be recovered")
    return root


def _require_expat(document: bytes) -> None:
    """Makes sure that ElementTree and CairoSVG, which read with expat, can read it too.

    Raises:
        Unreadable: they cannot.
    """
    # Names as ElementTree writes them, {namespace}name: so expat refuses a namespace that holds the separator.
    reader = expat.ParserCreate("utf-8", "}")
    try:
        reader.Parse(document, True)
    except expat.ExpatError as error:
        raise Unreadable(f"not XML: {error}") from None


def _complains_of_namespaces_alone(parser: etree.XMLParser) -> bool:
    # The parser's own log; that of an exception holds what earlier parsers of the thread said, too.
    log: Any = parser.error_log  # iterable, whatever its stubs say
    return {entry.type for entry in log} == {etree.ErrorTypes.WAR_NS_URI}


def _message(error: etree.XMLSyntaxError) -> str:
    return f"not XML: {error.msg}" if error.msg else "not XML: the program is empty"


def _split_prolog(program: str) -> tuple[str, str]:
    """What stands before the root element, and the rest. One pass; a prolog that never ends leaves nothing."""
    position = 0
    while match := _BLACK.search(program, position):
        if not program.startswith(("<?", "<!"), match.start()):
            return program[: match.start()], program[match.start() :]
        position = _past_markup(program, match.start())
    return program, ""


def _past_markup(program: str, start: int) -> int:
    for opening, closing in (("<?", "?>"), ("<!--", "-->")):
        if program.startswith(opening, start):
            end = program.find(closing, start + len(opening))
            return len(program) if end < 0 else end + len(closing)
    end, subset = program.find(">", start), program.find("[", start)
    if _DOCTYPE.match(program, start) and 0 <= subset < end:
        match = _SUBSET_END.search(program, subset)
        return match.end() if match else len(program)
    return len(program) if end < 0 else end + 1


def _with_namespaces(body: str) -> str:
    """Declares the SVG namespace, and the XLink prefix where it is used, on the root element if they are missing."""
    if not body.startswith("<svg") or (tag := _START_TAG.match(body, len("<svg"))) is None:
        return body
    attributes = tag.group()
    added = ""
    if not _DECLARES[""].search(attributes):
        added += f' xmlns="{SVG_NAMESPACE}"'
    if "xlink:" in body and "xmlns:xlink" not in body:
        added += f' xmlns:xlink="{XLINK_NAMESPACE}"'
    return f"<svg{added}{body[len('<svg') :]}"


def serialize(root: etree._Element) -> str:
    """The tree as text, without an XML declaration."""
    return etree.tostring(root, encoding="unicode", with_tail=False)


# --- cleaning ------------------------------------------------------------------------------------------------------


def clean(root: etree._Element) -> frozenset[Flag]:
    """Takes out of the tree, in place, what could reach outside it or run; says what was met, and what text says."""
    flags: set[Flag] = set()
    doomed: list[etree._Element] = []
    home = _namespace(root)
    for element in root.iter(etree.Element):
        name = home_name(element)
        flags |= _clean_attributes(element, name)
        if name in _SCRIPTS:
            flags.add(Flag.HAS_SCRIPT)
        if name == "style" and _clean_style_sheet(element):
            flags.add(Flag.HAS_EXTERNAL_REF)
        if _namespace(element) != home or name in _DROPPED or _animates_reference(element, name):
            doomed.append(element)
    _drop(root, doomed)
    text = drawn_text(root)
    if text:
        flags.add(Flag.HAS_TEXT)
        if addresses_judge(text):
            flags.add(Flag.ADDRESSES_JUDGE)
    return frozenset(flags)


def _clean_style_sheet(element: etree._Element) -> bool:
    """Takes references out of a style sheet, also behind elements in it; says whether one led outside."""
    whole = clean_css("".join(str(piece) for piece in element.itertext())).external
    external = False
    for node in element.iter(etree.Element):
        if node.text and (css := clean_css(node.text)).text != node.text:
            node.text = _legal(css.text)
            external = external or css.external
        if node is not element and node.tail and (css := clean_css(node.tail)).text != node.tail:
            node.tail = _legal(css.text)
            external = external or css.external
    if whole and not external:
        # A reference that only the pieces together spell.
        for node in list(element):
            element.remove(node)
        element.text = None
    return whole or external


def _legal(text: str) -> str:
    return _ILLEGAL.sub("", text)


def _clean_attributes(element: etree._Element, kind: str) -> set[Flag]:
    flags: set[Flag] = set()
    for key, value in element.attrib.items():
        full, text = str(key), str(value)
        local = full.rpartition("}")[2].rpartition(":")[2]
        if not full.startswith("{") and local.lower().startswith("on"):
            del element.attrib[key]
            flags.add(Flag.HAS_SCRIPT)
        elif local in ("href", "src"):
            flags |= _clean_reference(element, key, text, kind)
        elif local == "base":
            del element.attrib[key]
        elif local == "style" or "\\" in text or "(" in text:
            css = clean_css(text)
            if css.text != text:
                element.attrib[key] = _legal(css.text)
            if css.external:
                flags.add(Flag.HAS_EXTERNAL_REF)
    return flags


def _clean_reference(element: etree._Element, key: str | bytes, address: str, kind: str) -> set[Flag]:
    found = classify(address)
    raster = kind in _PICTURES and is_raster(address)
    if found == "internal" or (found == "picture" and kind in _PICTURES):
        return {Flag.HAS_RASTER} if raster or found == "picture" else set()
    del element.attrib[key]
    if found == "script":
        return {Flag.HAS_SCRIPT}
    if found == "external":
        return set() if kind == "a" else {Flag.HAS_EXTERNAL_REF}
    return {Flag.HAS_RASTER} if raster else set()


def _animates_reference(element: etree._Element, kind: str) -> bool:
    if kind not in _ANIMATIONS:
        return False
    target = (element.get("attributeName") or "").rpartition(":")[2].lower()
    return target in ("href", "src") or target.startswith("on")


def _drop(root: etree._Element, doomed: list[etree._Element]) -> None:
    """Takes elements out of the tree but leaves the text that follows them; the root stays."""
    for element in doomed:
        if element is not root:
            element.tag = _DOOMED
    # Not by moving the text: lxml does not let characters be written that the parser lets pass.
    etree.strip_elements(root, _DOOMED, with_tail=False)


# --- text ----------------------------------------------------------------------------------------------------------


def home_name(element: etree._Element) -> str:
    """The element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _namespace(element: etree._Element) -> str:
    # Not etree.QName, which checks names once more and refuses some that the parsers take.
    return str(element.tag).rpartition("}")[0]


def drawn_text(root: etree._Element) -> str:
    """All that ``text`` elements write, each run of white space as one space; titles and descriptions are not drawn."""
    pieces: list[str] = []
    for element in root.iter(etree.Element):
        if home_name(element) == "text" and not any(home_name(up) == "text" for up in element.iterancestors()):
            pieces += _characters(element)
            pieces.append(" ")
    return " ".join("".join(pieces).split())


def _characters(element: etree._Element) -> list[str]:
    pieces: list[str] = []
    for event, node in etree.iterwalk(element, events=("start", "end"), tag="*"):
        if event == "start" and node.text and not _is_hidden(node, element):
            pieces.append(node.text)
        elif event == "end" and node is not element and node.tail and not _is_hidden(node.getparent(), element):
            pieces.append(node.tail)
    return pieces


def _is_hidden(node: etree._Element | None, top: etree._Element) -> bool:
    while node is not None and node is not top:
        if home_name(node) in _NOT_DRAWN:
            return True
        node = node.getparent()
    return False


def without_text(root: etree._Element) -> etree._Element:
    """A copy of the tree without its ``text`` elements."""
    twin = copy.deepcopy(root)
    _drop(twin, [element for element in twin.iter(etree.Element) if home_name(element) == "text"])
    return twin
