"""A new tenant's file: every choice with a comment that says what it does, and what else there would be."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bridge.onboarding.facts import OTHER, idps, lmss
from bridge.settings.model import GateKind, Tier

ATTRIBUTE = "lms_user_id"
"""The conventional name of Kombo's guide, where nobody has chosen another."""
UNKNOWN = "unknown"
"""What stands in for an integration id that nobody has given yet; no file says so."""
_COLUMN = 43


@dataclass(frozen=True, slots=True)
class Choices:
    """What is known of a new customer. `name` and `integration_id` may come later: then the file says so, and so does
    `check`. `metadata` is a file's name beside the tenant's, or an https URL.
    """

    slug: str
    idp: str
    lms: str
    metadata: str
    name: str | None = None
    integration_id: str | None = None
    hosts: Sequence[str] = ()
    email_domains: Sequence[str] = ()
    gate: GateKind = "assigned"
    by: Tier | None = None
    attribute: str = ATTRIBUTE

    @property
    def values(self) -> Mapping[str, Any]:
        """What the file says, its variables filled in, with stand-ins for what is not known yet."""
        idp = idps()[self.idp]
        return {
            "name": self.slug if self.name is None else self.name,
            "kombo": {"integration_id": UNKNOWN if self.integration_id is None else self.integration_id},
            **({"hosts": list(self.hosts)} if self.hosts else {}),
            **({"email_domains": list(self.email_domains)} if self.email_domains else {}),
            "saml": {
                "metadata": self.metadata,
                "signed": idp.signed,
                "idp_initiated": "true" if idp.idp_initiated else "false",
            },
            "identity": [self._entry(self.by or idp.identity)],
            "gate": self.gate,
        }

    def _entry(self, by: Tier) -> str | dict[str, str]:
        if by == "name_id":
            return "name_id"
        return {"email": idps()[self.idp].email} if by == "email" else {"attribute": self.attribute}


def written(choices: Choices, schema: str | None = None) -> str:
    """The file's text. `schema` is the JSON Schema's place as the editor finds it from this file."""
    return "".join(f"{line}\n" for line in _lines(choices, schema))


def schema_beside(config: Path, tenants: Path) -> str | None:
    """Where the schema of tenant files lies as seen from their folder, if it lies beside the service's file."""
    schema = config.absolute().parent / "schema" / "tenant.json"
    return Path(os.path.relpath(schema, tenants)).as_posix() if schema.is_file() else None


def _lines(choices: Choices, schema: str | None) -> Iterator[str]:
    idp, lms = idps()[choices.idp], lmss()[choices.lms]
    values = choices.values
    if schema:
        yield f"# yaml-language-server: $schema={schema}"
    yield f"# One end-customer; the file's name is its slug: deep links say ?tenant={choices.slug}."
    yield f"# Written for {idp.name} and {lms.name}. What the customer's IT has to enter is printed by"
    yield f"# `kombo-bridge tenant show {choices.slug} --idp {choices.idp}`. Changes take effect within seconds."
    yield "# Until all is right it is answered `tenant_unavailable`, which disturbs no other tenant; `check` says why."
    yield ""
    yield _line("name", choices.name or "", "the customer's name, as learners know it")
    yield "kombo:"
    yield _line(
        "  integration_id", choices.integration_id or "", "of the customer's LMS, from Kombo: TOOL:ID, as workday:HWUT…"
    )
    yield "  # any other key of the service's `kombo` may be overridden here: another environment, region or secret"
    yield from _list(
        "hosts", choices.hosts, f"[{choices.slug}.learn.example.com]", "the tenant's own origins; the first has its ACS"
    )
    yield from _list("email_domains", choices.email_domains, "[example.com]", 'for "which organisation are you with?"')
    yield ""
    yield "saml:"
    yield _line("  metadata", choices.metadata, "a file beside this one, or an https URL, which is refreshed")
    yield f"  # For {idp.name}: {idp.metadata}"
    saml = values["saml"]
    yield _line(
        "  signed", saml["signed"], "any | assertion | response | both: which signature must cover the assertion"
    )
    yield _commented(
        f"  idp_initiated: {saml['idp_initiated']}", "true: an answer that nobody asked for may start a session"
    )
    yield _option("  single_logout: true", "a logout here also ends the IdP's session; the other way it always does")
    yield _option("  own_keys: true", "this tenant's IdP sees keys of the tenant's own")
    yield ""
    yield from _identity(choices, lms.remote_id, lms.beware)
    yield ""
    yield _line("gate", values["gate"], 'or: library, or {default: assigned, library: ["lib-*"]}')
    yield _option("on_launch: enroll", "enrols whoever launches; only where the gate is library")
    yield _option("session: {lifetime: 30d}", "with lifetime and without idle there is no idle limit")
    yield _option("share: [email, name]", "what of the person, beside ids, the platform receives")
    yield _option("in_frames: inside", "a course in the LMS's frame signs in there, not in a tab of its own")


def _identity(choices: Choices, remote_id: str, beware: str) -> Iterator[str]:
    idp = idps()[choices.idp]
    yield "# In order; the first that the assertion carries decides. It has to be the learner's id as Kombo has it in"
    yield f"# remote_id. With {lmss()[choices.lms].name} that is {remote_id};"
    yield f"# {beware}."
    yield "identity:"
    [entry] = choices.values["identity"]
    yield _item(entry)
    if entry != "name_id":
        yield _option("  - name_id", "where the NameID is the id")
    if choices.by == "email":
        yield _option(f"  - attribute: {ATTRIBUTE}", "better than an address, if the IdP can send it")
    else:
        yield _option(f"  - email: {idp.email}", "for whoever has no id at the IdP; an address that changes locks out")
    if choices.lms == OTHER:
        yield "  # Where Kombo's ids are composites, this compares a part of each:"
        yield "  # - {attribute: lms_user_id, remote_extract: 'PERNR:(?P<id>\\d+)\\|DE01'}"


def _item(entry: str | Mapping[str, str]) -> str:
    if isinstance(entry, str):
        return f"  - {entry}"
    [(key, value)] = entry.items()
    return f"  - {key}: {scalar(value)}"


def _list(key: str, values: Sequence[str], example: str, comment: str) -> Iterator[str]:
    if values:
        yield _commented(f"{key}: {_dumped([value.replace('${', '$${') for value in values])}", comment)
    else:
        yield _option(f"{key}: {example}", comment)


def _line(key: str, value: str, comment: str) -> str:
    return _commented(f"{key}: {scalar(value)}", comment)


def _option(setting: str, comment: str) -> str:
    """A setting that is not in force, to be had by removing the `# `."""
    indent = setting[: len(setting) - len(setting.lstrip())]
    return _commented(f"{indent}# {setting.lstrip()}", comment)


def _commented(text: str, comment: str) -> str:
    return f"{text:<{_COLUMN - 1}} # {comment}"


def scalar(value: str) -> str:
    """The value as YAML that the loader reads back as it is: nothing in it is a variable, or more than text."""
    return _dumped(value.replace("${", "$${"))


def _dumped(value: Any) -> str:
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=True, width=math.inf)
    return text.removesuffix("\n").removesuffix("\n...")
