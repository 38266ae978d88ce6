"""The onboarding pack: all that a customer's IT has to know and enter, made from the tenant's settings as they are.

It says the same whoever shows it. Every value is our side of the trust as `sp_metadata` says it, letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from bridge.onboarding.facts import Entry, Idp, Lms, Remark, Step, When, idps, lmss
from bridge.onboarding.wording import Values, Wording, copied, filled, plain, worded
from bridge.pages.look import NAME
from bridge.saml.keys import certificate_end
from bridge.saml.model import ServiceProvider, SpKey
from bridge.saml.party import sp_metadata
from bridge.settings.model import IdentityEntry, Service
from bridge.settings.tenant import TenantFile, party_of

_TIERS: dict[str, When] = {"name_id": "name_id", "attribute": "attribute"}


@dataclass(frozen=True, slots=True)
class Value:
    """One of our addresses, with the names that products have for it."""

    label: str
    also: str
    text: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """One of our certificates: SHA-256 of it in hexadecimal, when it ends, and PEM."""

    sha256: str
    ends: datetime
    pem: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the IdP's form: `value` is entered letter by letter, or `choose` says what to choose."""

    name: str
    value: str | None
    choose: Wording
    note: Wording


@dataclass(frozen=True, slots=True)
class Task:
    """One step at the IdP, filled in."""

    title: str
    at: str | None
    say: tuple[Wording, ...]
    fields: tuple[Field, ...]
    copies: tuple[str, ...]
    then: tuple[Wording, ...]


@dataclass(frozen=True, slots=True)
class Pack:
    """`trust` says what there is to know of our certificates, `identifier` which id we need and why; `remarks` are the
    customer's to know, `operator` ours. `login` is an address that signs in; `metadata` is our own, whole.
    """

    slug: str
    customer: str
    platform: str
    idp: Idp
    lms: Lms
    values: tuple[Value, ...]
    certificates: tuple[Certificate, ...]
    trust: Wording
    identifier: tuple[Wording, ...]
    tasks: tuple[Task, ...]
    remarks: tuple[Wording, ...]
    operator: tuple[Wording, ...]
    login: str
    metadata: bytes


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a pack is for: the tenant's settings, complete or not, what its IdP and its LMS are, and our keys for it."""

    slug: str
    form: TenantFile
    idp: str
    lms: str
    keys: Sequence[SpKey] = ()
    requests_signed: bool = False


def pack(subject: Subject, service: Service) -> Pack:
    """What is to be entered for a tenant."""
    form, idp, lms = subject.form, idps()[subject.idp], lmss()[subject.lms]
    party = party_of(form, subject.slug, service)
    platform = form.pages.over(service.pages).name or NAME
    values = _values(subject, service, party, platform)
    entries = tuple(entry.entry() for entry in form.identity)
    return Pack(
        subject.slug,
        form.name,
        platform,
        idp,
        lms,
        tuple(_addresses(values)),
        tuple(_certificate(key.certificate_pem) for key in subject.keys),
        plain(_trust(subject)),
        tuple(_identifier(idp, subject.lms, lms, entries, values)),
        tuple(_tasks(idp, entries, values, logout=form.saml.single_logout)),
        _said(idp.remarks, values),
        _said(idp.operator, values),
        values["login"],
        sp_metadata(party, subject.keys, requests_signed=subject.requests_signed),
    )


def _values(subject: Subject, service: Service, party: ServiceProvider, platform: str) -> Values:
    acs = party.requested_acs
    return {
        "entity_id": party.entity_id,
        "acs": acs,
        "acs_pattern": f"^{re.escape(acs)}$",
        "slo": party.slo or "",
        # On the public URL, where also an IdP finds it that knows us under an older entityID.
        "metadata_url": f"{service.public_url}/_bridge/saml/{subject.slug}/metadata",
        "login": f"{party.acs.removesuffix('/acs')}/login",
        "platform": platform,
        "customer": subject.form.name,
        "slug": subject.slug,
        "lms": lmss()[subject.lms].name,
    }


def _addresses(values: Values) -> Iterator[Value]:
    yield Value("Metadata", "SP metadata; it says all of the following", values["metadata_url"])
    yield Value("Entity ID", "Identifier, Audience URI, SP Issuer", values["entity_id"])
    yield Value("ACS URL", "Reply URL, Single sign-on URL, Recipient, Destination; by HTTP-POST", values["acs"])
    yield Value("Logout URL", "Single Logout URL, SLO; only if you want it, by signed messages", values["slo"])


def _trust(subject: Subject) -> str:
    if not subject.keys:
        return "Our metadata has no certificate yet: it gets one when the service first starts with this customer."
    signed = "are signed with the first of them" if subject.requests_signed else "are not signed"
    return (
        f"Our certificates are self-signed, and all in our metadata. Our login requests {signed}; logout messages"
        " always are. Encrypting assertions for us is possible, and needed nowhere."
    )


def _certificate(pem: str) -> Certificate:
    digest = x509.load_pem_x509_certificate(pem.encode("ascii")).fingerprint(SHA256()).hex(":").upper()
    return Certificate(digest, certificate_end(pem), pem)


def _identifier(
    idp: Idp, lms_name: str, lms: Lms, entries: Sequence[IdentityEntry], values: Values
) -> Iterator[Wording]:
    by_id = [entry for entry in entries if entry.tier != "email"]
    if by_id:
        yield worded(f"We recognise a learner by the id that {{lms}} has for them: {lms.remote_id}.", values)
        yield from _said(lms.why, values)
        yield worded(f"Where it comes from: {idp.source(lms_name)}", values)
    for number, entry in enumerate(entries):
        yield worded(_sent(entry, first=number == 0), {**values, "claim": entry.source or ""})
        if entry.extract:
            yield worded("Of what you send there, the part `id` of `{cut}` counts.", {"cut": str(entry.extract)})
        if entry.remote_extract:
            pattern = {**values, "pattern": str(entry.remote_extract)}
            yield worded("It is compared with the part `id` of {lms}'s own ids, which are `{pattern}`.", pattern)
    if any(entry.tier == "email" for entry in entries):
        yield worded(
            "An email address is the weaker identifier. When somebody's changes, {lms} and your directory have to"
            " change together, or the person is locked out until they do; and no two people may share one.",
            values,
        )
    yield worded(
        "The value has to be the very one that {lms} has, with its capitals and leading zeros. Whoever has none is not"
        " let in. People who are in {lms} and not in your directory, such as contractors, cannot sign in this way.",
        values,
    )


def _sent(entry: IdentityEntry, *, first: bool) -> str:
    begin = "Send" if first else "Where the answer carries nothing of the above, we take"
    match entry.tier, entry.source:
        case "email", None:
            return f"{begin} the work email address as the NameID."
        case "email", _:
            return f"{begin} the work email address, in the attribute `{{claim}}`."
        case "attribute", _:
            return (
                f"{begin} it in an attribute with exactly the name `{{claim}}`."
                if first
                else (f"{begin} the id in the attribute `{{claim}}`.")
            )
        case _:
            return f"{begin} it as the NameID; any format is read." if first else f"{begin} the NameID as the id."


def _tasks(idp: Idp, entries: Sequence[IdentityEntry], values: Values, *, logout: bool) -> Iterator[Task]:
    for step in idp.steps:
        if step.when is None or (step.when == "logout" and logout):
            yield _task(step, values)
        for entry in entries:
            if step.when == _when(entry):
                yield _task(step, {**values, "claim": entry.source or ""})


def _when(entry: IdentityEntry) -> When:
    if entry.tier == "email":
        return "email_attribute" if entry.source else "email_name_id"
    return _TIERS[entry.tier]


def _task(step: Step, values: Values) -> Task:
    copies = [copied(each.language, each.text, values) for each in step.copy_whole]
    then = list(_said(step.then, values))
    if None in copies:
        then.append(plain("A name here has a character that cannot be written in these lines: ask us."))
    return Task(
        step.title,
        step.at,
        _said(step.say, values),
        tuple(_field(entry, values) for entry in step.enter),
        tuple(copy for copy in copies if copy),
        tuple(then),
    )


def _field(entry: Entry, values: Values) -> Field:
    return Field(
        entry.field,
        None if entry.value is None else filled(entry.value, values),
        worded(entry.choose or "", values),
        _said([Remark(text=entry.note or "", guess=entry.guess)], values)[0],
    )


def _said(remarks: Sequence[Remark], values: Values) -> tuple[Wording, ...]:
    return tuple(
        worded(remark.text, values) + (plain(" (We have not seen this documented.)") if remark.guess else ())
        for remark in remarks
    )
