"""The pack as plain text, for a terminal or an email. A value stands alone on its line, so that it is copied whole."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from bridge.onboarding.pack import Field, Pack, Task
from bridge.onboarding.wording import Wording
from bridge.printable import printable

WIDTH = 100


def as_text(pack: Pack) -> str:
    """For the customer's IT; what is the operator's alone is in `for_operator`."""
    return "\n".join(_lines(pack)) + "\n"


def for_operator(pack: Pack) -> str:
    """What to know on our side."""
    return "\n".join(line for remark in pack.operator for line in _item(remark)) + "\n"


def sentence(wording: Wording) -> str:
    """As one line without any mark but quotes around the names of fields."""
    return "".join(f'"{printable(text)}"' if _is_quoted(kind, text) else printable(text) for kind, text in wording)


def _is_quoted(kind: str, text: str) -> bool:
    """Where words end or begin that are another's; a label with a full stop is a heading."""
    return (kind == "label" and not text.endswith(".")) or (kind == "code" and " " in text)


def _lines(pack: Pack) -> Iterator[str]:
    yield from _heading(f"{pack.platform}: single sign-on for {pack.customer} by {pack.idp.name}", "=")
    yield from _heading("Our addresses, which are compared letter by letter", "-")
    for value in pack.values:
        yield from (f"{value.label} ({value.also})", f"    {printable(value.text)}")
    if pack.certificates:
        yield "Certificates, which are in our metadata (SHA-256 fingerprint)"
        for certificate in pack.certificates:
            yield f"    {certificate.sha256}"
            yield f"    until {certificate.ends:%Y-%m-%d}"
    yield from ("", *_wrapped(pack.trust))
    yield ""
    yield from _heading("Which id of a learner to send", "-")
    for paragraph in pack.identifier:
        yield from (*_wrapped(paragraph), "")
    yield from _heading(f"At {pack.idp.name}", "-")
    for number, task in enumerate(pack.tasks, start=1):
        yield from (*_task(number, task), "")
    if pack.remarks:
        yield from _heading("Good to know", "-")
        yield from (line for remark in pack.remarks for line in _item(remark))
        yield ""
    yield from _heading("Try it", "-")
    yield "Once both sides have the other's metadata, this signs you in and leads to the platform:"
    yield f"    {printable(pack.login)}"


def _heading(text: str, line: str) -> tuple[str, str, str]:
    shown = printable(text)
    return shown, line * min(len(shown), WIDTH), ""


def _task(number: int, task: Task) -> Iterator[str]:
    yield f"{number}. {task.title}"
    if task.at:
        yield from textwrap.wrap(task.at, WIDTH, initial_indent="   ", subsequent_indent="     ")
    yield from _indented(task.say)
    for field in task.fields:
        yield from _field(field)
    for copy in task.copies:
        yield from ("", textwrap.indent(copy.rstrip("\n"), "   "), "")
    yield from _indented(task.then)


def _field(field: Field) -> Iterator[str]:
    if field.value is None:
        yield from textwrap.wrap(
            f"{field.name}: {sentence(field.choose)}", WIDTH, initial_indent="   - ", subsequent_indent="     "
        )
    else:
        yield from (f"   - {field.name}:", f"       {printable(field.value)}")
    yield from textwrap.wrap(sentence(field.note), WIDTH, initial_indent="     ", subsequent_indent="     ")


def _indented(paragraphs: Iterable[Wording]) -> Iterator[str]:
    for paragraph in paragraphs:
        yield from _wrapped(paragraph, "   ")


def _item(wording: Wording) -> list[str]:
    return _wrapped(wording, "  ", "- ")


def _wrapped(wording: Wording, indent: str = "", bullet: str = "") -> list[str]:
    """Nothing that is to be copied is broken: neither long words nor words at their hyphens."""
    return textwrap.wrap(
        sentence(wording),
        WIDTH,
        initial_indent=bullet or indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
