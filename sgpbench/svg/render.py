"""The two renderers: a cleaned tree in, an RGB picture out.

Runs inside the sandbox only. ``resvg`` (``v1``) draws into a box of ``longer_side`` pixels and keeps the aspect:

- the drawing's own size is its ``width`` and ``height`` (absolute units at 96 per inch), where one is missing or in
  per cent the ``viewBox``, where that is missing too 100 % of the bounding box of what is drawn: resvg's own rules,
  pinned with its version. A value that is no number counts as missing; zero and negative sizes are errors;
- however long and thin, each side has at least one pixel; however huge, the canvas is never larger than the box.

``cairosvg`` (``paper``) draws at the drawing's own size, as the released code does, and puts it on the background.
Both see the bundled fonts and no others, and neither fetches anything.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sgpbench.errors import RendererError
from sgpbench.svg.clean import serialize
from sgpbench.svg.families import FAMILIES_VERSION, with_generic_families
from sgpbench.svg.references import embedded_bytes

if TYPE_CHECKING:
    from lxml import etree
    from PIL import Image

    from sgpbench.protocol import RendererRule
    from sgpbench.records import Json

__all__ = [
    "FONTS_FOLDER",
    "Fault",
    "Renderer",
    "Unrenderable",
    "fonts_hash",
    "installed_version",
    "open_renderer",
    "parser_versions",
    "require_parser",
    "require_version",
]

FONTS_FOLDER = Path(__file__).parent / "fonts"
_DISTRIBUTION = {"resvg": "resvg-py", "cairosvg": "cairosvg"}
_LONGEST_MESSAGE = 300


class Unrenderable(ValueError):
    """The renderer refuses the drawing; the message is its own."""


class Fault(RuntimeError):
    """The renderer broke on the drawing: a panic, or no memory left."""


class Renderer(Protocol):
    """One way of making pixels."""

    identity: Mapping[str, Json]

    def draw(self, root: etree._Element) -> Image.Image:
        """The picture of a cleaned tree, RGB on the background.

        Raises:
            Unrenderable: the renderer refuses it. Fault: the renderer broke.
        """


def fonts_hash() -> str:
    """SHA-256 over names and contents of all bundled fonts: 16 hex digits."""
    digest = hashlib.sha256()
    for path in sorted(FONTS_FOLDER.glob("*.ttf")):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def installed_version(name: str) -> str | None:
    """The installed version of a renderer's package, if it is installed."""
    try:
        return importlib.metadata.version(_DISTRIBUTION[name])
    except importlib.metadata.PackageNotFoundError:
        return None


def require_version(name: str, version: str) -> str:
    """The installed version of a renderer's package, where it is the one that the protocol pins.

    ``version`` is complete (``0.5.0``) or its first parts (``2``).

    Raises:
        RendererError: it is missing or another version is installed; the remedy is the command that installs it.
    """
    package = _DISTRIBUTION[name]
    command = f"pip install {package}=={version}" if name == "resvg" else "pip install 'sgpbench[paper]'"
    installed = installed_version(name)
    if installed is None:
        raise RendererError(f"The renderer {name} is not installed.", remedy=f"Run: {command}") from None
    if installed != version and not installed.startswith(version + "."):
        raise RendererError(
            f"The protocol renders with {package} {version}, but {installed} is installed.", remedy=f"Run: {command}"
        )
    return installed


def parser_versions() -> dict[str, str]:
    """The versions of lxml, and of the libxml2 it runs on, that parse and repair programs here."""
    from lxml import etree

    versions = {"lxml": etree.LXML_VERSION[:3], "libxml2": etree.LIBXML_VERSION}
    return {name: ".".join(map(str, version)) for name, version in versions.items()}


def require_parser(rule: RendererRule) -> None:
    """Checks the parser's versions against those that a protocol pins, if it does.

    Raises:
        RendererError: another version is installed; the remedy is the command that installs the right one.
    """
    installed = parser_versions()
    for name, pinned in (("lxml", rule.lxml), ("libxml2", rule.libxml2)):
        if pinned is not None and installed[name] != pinned and not installed[name].startswith(pinned + "."):
            raise RendererError(
                f"The protocol parses programs with {name} {pinned}, but {installed[name]} is installed; their repairs "
                "of broken programs differ.",
                remedy=f"Run: pip install --only-binary lxml lxml=={rule.lxml}" if rule.lxml else None,
            )


def open_renderer(name: str, version: str, longer_side: int | None, background: str) -> Renderer:
    """The renderer of that name.

    Raises:
        RendererError: it is missing, of another version, lacks a library, or cannot draw at the size that is asked for.
    """
    if name == "resvg" and longer_side is not None:
        return _Resvg(version, longer_side, background)
    if name == "cairosvg" and longer_side is None:
        return _CairoSvg(version, background)
    raise RendererError(f"The renderer {name} cannot draw with longer_side = {longer_side}.")


class _Resvg:
    def __init__(self, version: str, longer_side: int, background: str) -> None:
        installed = require_version("resvg", version)
        import resvg_py

        self._svg_to_bytes = resvg_py.svg_to_bytes
        self._longer_side = longer_side
        self._background = background
        self._fonts = [str(path) for path in sorted(FONTS_FOLDER.glob("*.ttf"))]
        self.identity: Mapping[str, Json] = {
            "name": "resvg",
            "version": installed,
            "engine": f"resvg {resvg_py.__resvg_version__}",
            "longer_side": longer_side,
            "background": background,
            "parser": dict(parser_versions()),
            "dpi": 96,
            "default_family": "Liberation Serif",
            "families": FAMILIES_VERSION,
            "fonts": fonts_hash(),
        }

    def draw(self, root: etree._Element) -> Image.Image:
        with_generic_families(root)
        try:
            png = self._svg_to_bytes(
                svg_string=serialize(root),
                background=self._background,
                # Always both: without them a huge canvas takes the process down.
                width=self._longer_side,
                height=self._longer_side,
                dpi=96.0,
                skip_system_fonts=True,
                font_files=self._fonts,
                font_family="Liberation Serif",
                cursive_family="Liberation Sans",
                fantasy_family="Liberation Sans",
                monospace_family="Liberation Mono",
                sans_serif_family="Liberation Sans",
                serif_family="Liberation Serif",
            )
        except ValueError as error:
            raise Unrenderable(str(error)[:_LONGEST_MESSAGE]) from None
        except BaseException as error:
            # A Rust panic arrives as an exception that derives from BaseException and cannot be imported.
            if type(error).__name__ != "PanicException":
                raise
            raise Fault(f"panic: {str(error)[:_LONGEST_MESSAGE]}") from None
        return _rgb(png, self._background)


class _CairoSvg:
    def __init__(self, version: str, background: str) -> None:
        installed = require_version("cairosvg", version)
        try:
            import cairocffi  # type: ignore[import-untyped, unused-ignore]
            import cairosvg
        except (ImportError, OSError) as error:
            raise RendererError(
                f"CairoSVG does not load here: {str(error).splitlines()[0]}.",
                remedy="Run: pip install 'sgpbench[paper]' and apt-get install libcairo2",
            ) from None
        # Not `svg2png`, which cannot be given a fetcher of one's own.
        self._convert = cairosvg.surface.PNGSurface.convert
        self._background = background
        self.identity: Mapping[str, Json] = {
            "name": "cairosvg",
            "version": installed,
            "engine": f"cairo {cairocffi.cairo_version_string()}",
            "longer_side": None,
            "background": background,
            "parser": dict(parser_versions()),
            "fonts": fonts_hash(),
        }

    def draw(self, root: etree._Element) -> Image.Image:
        program = serialize(root).encode()
        try:
            png = self._convert(bytestring=program, url_fetcher=_fetch_embedded)
        except MemoryError:
            raise Fault("no memory left") from None
        except Exception as error:  # noqa: BLE001 - it fails in many ways on odd input; the released code catches all
            reason = f"{type(error).__name__}: {error}"
            raise Unrenderable(reason[:_LONGEST_MESSAGE]) from None
        if not png:
            raise Unrenderable("CairoSVG drew nothing")
        return _rgb(png, self._background)


def _fetch_embedded(url: str, resource_type: str) -> bytes:
    """The bytes of a ``data:`` URI; for any other address an empty drawing, as CairoSVG itself does when it is safe."""
    return embedded_bytes(url) if url.startswith("data:") else b'<svg width="1" height="1"></svg>'


def _rgb(png: bytes, background: str) -> Image.Image:
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        if picture.mode != "RGBA":
            return picture.convert("RGB")
        if picture.getchannel("A").getextrema() == (255, 255):
            return picture.convert("RGB")
        paper = Image.new("RGBA", picture.size, background)
        return Image.alpha_composite(paper, picture).convert("RGB")
