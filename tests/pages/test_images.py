from __future__ import annotations

import base64

import pytest

from bridge.pages.images import data_uri, suits_the_dark

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>'


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (b"\x89PNG\r\n\x1a\nxyz", "image/png"),
        (b"\xff\xd8\xff\xe0xyz", "image/jpeg"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (SVG, "image/svg+xml"),
        (b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- made by a tool -->\n' + SVG, "image/svg+xml"),
        (SVG.replace(b"<path", b"<script>alert(1)</script><path"), "image/svg+xml"),
    ],
)
def test_an_image_is_known_by_what_it_is(image: bytes, kind: str) -> None:
    head, _, data = data_uri(image).partition(",")
    assert head == f"data:{kind};base64"
    assert base64.b64decode(data) == image


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "no image"),
        (b"GIF89a", "no image"),
        (b"<html><body>not found</body></html>", "no image"),
        (b"RIFF\x00\x00\x00\x00WAVE", "no image"),
        (SVG.replace(b"</svg>", b""), "line 1 of it is no SVG"),
        (SVG.replace(b' xmlns="http://www.w3.org/2000/svg"', b""), "xmlns"),
        (b"<html xmlns='http://www.w3.org/1999/xhtml'>" + SVG + b"</html>", "xmlns"),
        (b'<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + SVG[:-6] + b"&b;</svg>", "no SVG"),
    ],
)
def test_anything_else_is_not_shown(image: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        data_uri(image)


def test_a_logo_may_see_to_dark_mode_itself() -> None:
    assert suits_the_dark(SVG.replace(b"<path", b"<style>@media (prefers-color-scheme: dark) {}</style><path"))
    assert not suits_the_dark(SVG)
