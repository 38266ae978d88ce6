"""Logos, recognised by what they are and not by what their file is called."""

from __future__ import annotations

import base64

from lxml import etree

LARGEST_LOGO = 64 * 1024

_SVG = "{http://www.w3.org/2000/svg}svg"


def data_uri(image: bytes) -> str:
    """The image as a `data:` URI; raises `ValueError` with what to do where it is none.

    It is shown by an `<img>`, in which an SVG runs no script and loads nothing.
    """
    return f"data:{_kind(image)};base64,{base64.b64encode(image).decode()}"


def suits_the_dark(image: bytes) -> bool:
    """Whether an SVG says itself how it looks in dark mode; any other logo is shown on a light ground there."""
    return b"prefers-color-scheme" in image


def _kind(image: bytes) -> str:
    if image.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if image.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if image.startswith(b"RIFF") and image[8:12] == b"WEBP":
        return "image/webp"
    if b"<svg" in image:
        _check_svg(image)
        return "image/svg+xml"
    raise ValueError("this is no image that browsers show: save it as SVG, PNG, JPEG or WebP")


def _check_svg(image: bytes) -> None:
    """In a page's source a browser forgives much of what it does not forgive in an image."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(image, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"line {error.lineno} of it is no SVG ({error.msg}): export it again") from None
    if root.tag != _SVG:
        raise ValueError('browsers show no such SVG: write xmlns="http://www.w3.org/2000/svg" into its <svg>')
