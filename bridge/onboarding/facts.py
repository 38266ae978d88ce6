"""What is known of identity providers and of LMSs, as data: `idps/NAME.yaml` and `lms/NAME.yaml`.

Everything in it follows the vendors' public documentation and Kombo's guide on identity matching. What nobody has
documented says `guess: true`, and whoever reads it is told.

Texts have two marks, `*the name of a field or menu*` and `` `something to copy` ``, and names in braces for what the
tenant's settings say: see `bridge.onboarding.wording`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator

from bridge.saml.model import Signed
from bridge.settings.frozen import Frozen
from bridge.settings.model import Tier

_HERE = Path(__file__).parent
OTHER = "other"
"""The IdP, or the LMS, of which nothing particular is known."""

When = Literal["name_id", "attribute", "email_attribute", "email_name_id", "logout"]
Language = Literal["powershell", "claim rule", "xml"]


class Remark(Frozen):
    """A sentence or a few, which may be written as text alone."""

    text: str
    guess: bool = False


def _remark(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


Said = Annotated[Remark, BeforeValidator(_remark)]


class Entry(Frozen):
    """One field of the IdP's form: a `value` to be entered letter by letter, or what to `choose`."""

    field: str
    value: str | None = None
    choose: str | None = None
    note: str | None = None
    guess: bool = False


class Copied(Frozen):
    """Lines to be copied whole. Values in them are written by the rules of their language."""

    language: Language
    text: str


class Step(Frozen):
    """One thing to do. `at` is the way through the menus.

    With `when` it is done for each identity entry of that kind (`logout`: only where the tenant wants single logout),
    with `{claim}` for the attribute's name.
    """

    title: str
    at: str | None = None
    when: When | None = None
    say: tuple[Said, ...] = ()
    enter: tuple[Entry, ...] = ()
    copy_whole: tuple[Copied, ...] = ()
    then: tuple[Said, ...] = ()


class Idp(Frozen):
    """One kind of identity provider. `name` is how the steps call it, `console` the product's own page for all this."""

    name: str
    entity_id: str | None = None
    """A pattern for its entityID, by which its metadata is recognised."""
    lms: str | None = None
    """The one LMS that this IdP is."""
    signed: Signed = "any"
    """What the tenant file demands: what this IdP signs when it is set up by these steps."""
    idp_initiated: bool = False
    identity: Tier = "attribute"
    """The tier to begin with."""
    email: str = "mail"
    """The attribute by which it usually sends the address, or `name_id`."""
    metadata: str
    """How the tenant file gets its metadata, for the operator; one line."""
    sources: Mapping[str, str]
    """Where at this IdP the learner's id comes from, by LMS, with `other` for the rest."""
    steps: tuple[Step, ...]
    remarks: tuple[Said, ...] = ()
    """For the customer's IT."""
    operator: tuple[Said, ...] = ()
    """For whoever keeps the tenant file."""
    sample: tuple[Said, ...] = ()
    """Of the example in `config/idps`, if there is one."""

    def source(self, lms: str) -> str:
        return self.sources.get(lms, self.sources[OTHER])


class Lms(Frozen):
    """One LMS, as far as it matters who is who in it."""

    name: str
    tools: tuple[str, ...] = ()
    """How Kombo's integration ids begin that belong to it."""
    remote_id: str
    """What Kombo has as `remote_id`, in half a sentence."""
    why: tuple[Said, ...]
    """Why that and nothing else, and what it is mistaken for."""
    beware: str
    """The shortest form of that, for a table or a comment."""


Facts = TypeVar("Facts", bound=BaseModel)


@cache
def idps() -> Mapping[str, Idp]:
    """By name, `other` last."""
    return _read("idps", Idp)


@cache
def lmss() -> Mapping[str, Lms]:
    """By name, `other` last."""
    return _read("lms", Lms)


def idp_of(entity_id: str) -> str | None:
    """The kind of IdP that writes such an entityID, where that can be told."""
    found = (name for name, idp in idps().items() if idp.entity_id and re.fullmatch(idp.entity_id, entity_id))
    return next(found, None)


def lms_of(integration_id: str) -> str:
    """The LMS of one of Kombo's integrations, which begins with Kombo's name for the tool."""
    tool = integration_id.partition(":")[0]
    return next((name for name, lms in lmss().items() if tool in lms.tools), OTHER)


def names(folder: Literal["idps", "lms"]) -> list[str]:
    """The names alone, which need no reading, `other` last."""
    return sorted((path.stem for path in _HERE.glob(f"{folder}/*.yaml")), key=lambda name: (name == OTHER, name))


def _read(folder: Literal["idps", "lms"], model: type[Facts]) -> Mapping[str, Facts]:
    texts = {name: (_HERE / folder / f"{name}.yaml").read_text("utf-8") for name in names(folder)}
    return {name: model.model_validate(yaml.safe_load(text)) for name, text in texts.items()}
