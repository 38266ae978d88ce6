"""Valid messages, broken: at random bytes, and in the tree, where signature wrapping happens."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from hypothesis import strategies as st
from lxml import etree

ODD = [
    b"\0", b"\r\n", b"\xef\xbb\xbf", b"\xc0\xaf", b"<!---->", b"<![CDATA[", b"]]>", b"&#0;", b"&lol;", b"<?x?>",
    b"<!DOCTYPE a>", b"%00", b"%0d%0a", b"//", b"\\", b"..", b";", b"=", b"&", b"+", b" ", b"'", b'"', b"\xe2\x80\xa8",
]  # fmt: skip  # read as a list of odd things, not one a line

Edit = Callable[[etree._Element, st.DataObject], None]


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A seed with up to six stretches cut, doubled, moved or replaced."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 1, 2, 3, 8, 40, 300])))
        there = data[start:end]
        what = draw(st.sampled_from(["cut", "double", "odd", "noise", "move"]))
        if what == "move":
            rest = data[:start] + data[end:]
            at = draw(st.integers(0, len(rest)))
            data = rest[:at] + there + rest[at:]
            continue
        put = {
            "cut": b"",
            "double": there * 2,
            "odd": draw(st.sampled_from(ODD)),
            "noise": draw(st.binary(max_size=4)),
        }[what]
        data = data[:start] + put + data[end:]
    return data


@st.composite
def rearranged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A seed with up to four elements moved, copied, removed, renamed or given other text or attributes."""
    root = etree.fromstring(draw(st.sampled_from(seeds)).removeprefix(b"\xef\xbb\xbf"))
    for _ in range(draw(st.integers(1, 4))):
        _EDITS[draw(st.sampled_from(sorted(_EDITS)))](draw, root)
    return etree.tostring(root)


def _element(draw: st.DrawFn, root: etree._Element) -> etree._Element:
    return draw(st.sampled_from(list(root.iter("*"))))


def _move(draw: st.DrawFn, root: etree._Element) -> None:
    element, target = _element(draw, root), _element(draw, root)
    if element is not root and element not in target.iterancestors() and element is not target:
        target.insert(draw(st.integers(0, len(target))), element)


def _copy(draw: st.DrawFn, root: etree._Element) -> None:
    element, target = copy.deepcopy(_element(draw, root)), _element(draw, root)
    if draw(st.booleans()):
        _retext(draw, element)
    target.insert(draw(st.integers(0, len(target))), element)


def _remove(draw: st.DrawFn, root: etree._Element) -> None:
    element = _element(draw, root)
    if (parent := element.getparent()) is not None:
        parent.remove(element)


def _rename(draw: st.DrawFn, root: etree._Element) -> None:
    _element(draw, root).tag = _element(draw, root).tag


def _retext(draw: st.DrawFn, root: etree._Element) -> None:
    _element(draw, root).text = draw(st.sampled_from(["", "mallory", " ", "\n", "mallory\u2028", "a,b"]))


def _reattribute(draw: st.DrawFn, root: etree._Element) -> None:
    element, other = _element(draw, root), _element(draw, root)
    names = sorted({*map(str, element.attrib), *map(str, other.attrib), "ID", "Id", "URI", "Algorithm"})
    value = draw(st.sampled_from([*map(str, other.attrib.values()), "", "#", "mallory"]))
    element.set(draw(st.sampled_from(names)), value)


def _comment(draw: st.DrawFn, root: etree._Element) -> None:
    element = _element(draw, root)
    comment = etree.Comment("x")
    comment.tail = "mallory"
    element.insert(0, comment)


_EDITS = {
    "move": _move,
    "copy": _copy,
    "remove": _remove,
    "rename": _rename,
    "text": _retext,
    "attribute": _reattribute,
    "comment": _comment,
}
