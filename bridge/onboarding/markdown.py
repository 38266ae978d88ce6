"""The facts of an IdP as Markdown, for `config/idps`: `python -m bridge.onboarding` writes each README there anew."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill

from bridge.onboarding.facts import OTHER, idps, lmss
from bridge.onboarding.pack import Field, Pack, Subject, Task, pack
from bridge.onboarding.wording import Wording, worded
from bridge.settings.model import Service
from bridge.settings.tenant import TenantFile

WIDTH = 120

_SERVICE = Service.model_validate(
    {
        "public_url": "https://learn.example.com",
        "upstream": "http://127.0.0.1:9000",
        "state": "sqlite:///bridge.db",
        "secrets": ["0123456789abcdef0123456789abcdef"],
        "tenants": "tenants",
        "kombo": {"api_key": "none"},
    }
)


def readme(idp: str) -> str:
    """What `config/idps` says of one, with every way of sending an identifier."""
    form = {
        "name": "SLUG",
        "kombo": {"integration_id": "none"},
        "saml": {"metadata": "metadata.xml", "single_logout": "true"},
        "identity": ["name_id", {"attribute": "lms_user_id"}, {"email": idps()[idp].email}, {"email": "name_id"}],
        "gate": "assigned",
    }
    subject = Subject("SLUG", TenantFile.model_validate(form), idp, idps()[idp].lms or OTHER)
    return "\n".join(_lines(pack(subject, _SERVICE))) + "\n"


def _lines(pack: Pack) -> Iterator[str]:
    yield f"# {pack.idp.name}"
    yield ""
    yield from (
        "<!-- Written by `python -m bridge.onboarding` from bridge/onboarding/idps: change it there. -->",
        "",
        "`response.xml` is written after the documented shape of this IdP's responses, not captured.",
    )
    for remark in pack.idp.sample:
        yield from ("", _paragraph(worded(remark.text, {})))
    yield from ("", "## Which id to send", "")
    for name in [pack.idp.lms] if pack.idp.lms else lmss():
        yield _item(worded(f"*{lmss()[name].name}*: {pack.idp.source(name)}", {}))
    yield from ("", f"## At {pack.idp.name}", "")
    yield from ("Of the steps for an id or an address, do what the tenant file's `identity` asks for.", "")
    for number, task in enumerate(pack.tasks, start=1):
        yield from _task(number, task)
    yield from _list("Good to know for the customer's IT", pack.remarks)
    yield from _list("On our side", pack.operator)


def _list(title: str, remarks: tuple[Wording, ...]) -> Iterator[str]:
    if remarks:
        yield from ("", f"## {title}", "")
        yield from map(_item, remarks)


def _task(number: int, task: Task) -> Iterator[str]:
    marker = f"{number}. "
    indent = " " * len(marker)
    yield f"{marker}**{task.title}**" + (f" ({task.at})" if task.at else "")
    for wording in task.say:
        yield from ("", _paragraph(wording, indent, indent))
    if task.fields:
        yield from ("", f"{indent}| field | value |", f"{indent}|---|---|")
        yield from (f"{indent}| {_cell(field.name)} | {_cell(_value(field))} |" for field in task.fields)
    for copy in task.copies:
        yield from ("", f"{indent}```")
        yield from (f"{indent}{line}" for line in copy.rstrip().splitlines())
        yield f"{indent}```"
    for wording in task.then:
        yield from ("", _paragraph(wording, indent, indent))


def _value(field: Field) -> str:
    first = _inline(field.choose) if field.value is None else f"`{field.value}`"
    return f"{first}. {_inline(field.note)}" if field.note else first


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _paragraph(wording: Wording, first: str = "", further: str = "") -> str:
    return fill(
        _inline(wording),
        WIDTH,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _item(wording: Wording) -> str:
    return _paragraph(wording, "- ", "  ")


def _inline(wording: Wording) -> str:
    marks = {"label": "*", "code": "`", "plain": ""}
    return "".join(f"{marks[kind]}{text}{marks[kind]}" for kind, text in wording)
