"""`kombo-bridge tenant`: a new customer's file, and what the customer's IT has to enter at their identity provider."""

from __future__ import annotations

import json as jsonlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.cli.state import look
from bridge.errors import BridgeError, Problem, SettingsError, StateError
from bridge.front.logins import signs_requests
from bridge.idps.documents import load_settings
from bridge.keys.rollover import SAML
from bridge.onboarding import newcomer
from bridge.onboarding.facts import OTHER, idp_of, idps, lms_of, lmss, names
from bridge.onboarding.pack import Pack, Subject, pack
from bridge.onboarding.page import as_page
from bridge.onboarding.placing import place
from bridge.onboarding.tenant_file import ATTRIBUTE, Choices, schema_beside, written
from bridge.onboarding.text import as_text, for_operator, sentence
from bridge.printable import printable
from bridge.saml.model import SpKey
from bridge.settings.document import read_document
from bridge.settings.files import Watched, shown
from bridge.settings.model import Configuration, GateKind, Service, Tier
from bridge.settings.problems import validated
from bridge.settings.tenant import TenantFile
from bridge.settings.values import Slug
from bridge.store import keys
from bridge.store.keys import Kind

tenant = typer.Typer(no_args_is_help=True)
app.add_typer(tenant, name="tenant")

SlugArgument = Annotated[str, typer.Argument(metavar="SLUG", help="The tenant's slug: lower-case letters, digits, -.")]
IdpOption = Annotated[str | None, typer.Option("--idp", metavar="|".join(names("idps")), help="The customer's IdP.")]
LmsOption = Annotated[
    str | None, typer.Option("--lms", metavar="|".join(names("lms")), help="Otherwise by the integration id.")
]
PageOption = Annotated[
    Path | None, typer.Option("--page", help="A new HTML file with the same for the customer's IT, to send or print.")
]
MetadataOption = Annotated[
    Path | None, typer.Option("--sp-metadata", help="A new XML file with our metadata, for an IdP that imports it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")]


@tenant.callback()
def _group() -> None:
    """Onboarding customers: their tenant file, and what is to be entered at their identity provider."""


@tenant.command()
def new(
    slug: SlugArgument,
    config: ConfigPath = DEFAULT_CONFIG,
    idp: IdpOption = None,
    lms: LmsOption = None,
    name: Annotated[str | None, typer.Option(help="The customer's name, as learners know it.")] = None,
    integration_id: Annotated[str | None, typer.Option(help="Kombo's id of the customer's integration.")] = None,
    metadata: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="The IdP's metadata; a file is copied beside the tenant's.")
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="An origin of the tenant's own; the first has its ACS.")
    ] = None,
    email_domain: Annotated[list[str] | None, typer.Option(help="A domain of its people's addresses.")] = None,
    gate: Annotated[GateKind, typer.Option(help="What opens a course.")] = "assigned",
    by: Annotated[Tier | None, typer.Option(help="How learners are recognised; otherwise what suits the IdP.")] = None,
    attribute: Annotated[str, typer.Option(help="The attribute's name, where it is by one.")] = ATTRIBUTE,
    print_only: Annotated[
        bool, typer.Option("--print-only", help="Print the tenant file instead of writing it.")
    ] = False,
    page: PageOption = None,
    sp_metadata: MetadataOption = None,
    json: JsonOption = False,
) -> None:
    """Write a new customer's tenant file, and print what their IT has to enter at their IdP.

    A file that is there already is never touched. What is not known yet may be left out: the file says where it goes,
    `check` says that it is missing, and until then the tenant alone is unavailable.
    """
    if not Slug.fullmatch(slug):
        raise typer.BadParameter("write lower-case letters, digits and -, at most 63", param_hint="SLUG")
    configuration = load_settings(config)
    service = configuration.service
    path = service.tenants / f"{slug}.yaml"
    _check_free(*(() if print_only else (path,)), page, sp_metadata)
    known = newcomer.given(metadata, slug, service)
    kind = _idp(idp or known.idp)
    choices = Choices(
        slug=slug,
        idp=kind,
        lms=_lms(lms, kind, integration_id),
        metadata=known.written,
        name=name,
        integration_id=integration_id,
        hosts=host or (),
        email_domains=email_domain or (),
        gate=gate,
        by=by,
        attribute=attribute,
    )
    try:
        form = newcomer.form_of(choices, service)
    except newcomer.ChoiceError as error:
        raise typer.BadParameter(str(error), param_hint=f"--{error.option}") from None
    newcomer.check_claims(form, configuration, os.environ)
    text = written(choices, schema_beside(config, service.tenants))
    made = pack(_subject(configuration, slug, form, kind, choices.lms), service)
    if not print_only:
        newcomer.write(path, text, known)
    _put(made, page, sp_metadata)
    problems = [] if print_only else newcomer.missing(path, form, service, os.environ)
    if json:
        file = {"path": shown(path), "written": not print_only, "text": text}
        print(jsonlib.dumps(_fields(made) | {"file": file, "missing": list(map(str, problems))}, indent=2))
        return
    print(as_text(made))
    _print_titled("On our side", for_operator(made).rstrip("\n"))
    if known.idp not in (None, kind):
        given = idps()[known.idp or kind].name
        print(f"The metadata is that of {given}, and this is for {made.idp.name}: is that meant?\n")
    if print_only:
        _print_titled(f"{shown(path)}, which has not been written", text)
        return
    _print_titled(f"Written: {shown(path)}", "\n".join(_next_steps(slug, config, problems)))


@tenant.command()
def show(
    slug: SlugArgument,
    config: ConfigPath = DEFAULT_CONFIG,
    idp: IdpOption = None,
    lms: LmsOption = None,
    page: PageOption = None,
    sp_metadata: MetadataOption = None,
    json: JsonOption = False,
) -> None:
    """Print what a customer's IT has to enter at their IdP, as the tenant's file is now.

    Which IdP it is can be told by most metadata; without metadata, say it.
    """
    configuration = load_settings(config)
    path = configuration.service.tenants / f"{slug}.yaml"
    if not Slug.fullmatch(slug) or not path.is_file():
        raise BridgeError(f"there is no tenant {printable(slug)}: `kombo-bridge tenant new` makes one")
    _check_free(page, sp_metadata)
    form = validated(TenantFile, read_document(path, os.environ, Watched()))
    error = configuration.broken.get(slug)
    if error and (problems := newcomer.without_metadata(error)):
        raise SettingsError(*problems)  # an address that the service does not answer at must not be handed out
    in_force = configuration.tenants.get(slug)
    kind = _idp(idp or (idp_of(in_force.provider.entity_id) if in_force else None) or OTHER)
    subject = _subject(configuration, slug, form, kind, _lms(lms, kind, form.kombo.integration_id))
    made = pack(subject, configuration.service)
    _put(made, page, sp_metadata)
    if json:
        print(jsonlib.dumps(_fields(made), indent=2))
        return
    print(as_text(made))
    if made.operator:
        _print_titled("On our side", for_operator(made).rstrip("\n"))
    if kind == OTHER and idp is None:
        print(f"Which IdP this is cannot be told; with --idp {'|'.join(names('idps'))} the fields have its own names.")


def _idp(name: str | None) -> str:
    if name is None or name not in idps():
        raise typer.BadParameter(f"write one of {', '.join(idps())}", param_hint="--idp")
    return name


def _lms(name: str | None, idp: str, integration_id: str | None) -> str:
    """The LMS that was named, or that the integration id is of. One that is its own IdP goes with no other."""
    itself = idps()[idp].lms
    found = name or (lms_of(integration_id) if integration_id else itself or OTHER)
    if found not in lmss():
        raise typer.BadParameter(f"write one of {', '.join(lmss())}", param_hint="--lms")
    if itself not in (None, found):
        raise typer.BadParameter(f"--idp {idp} is the LMS {itself} itself, and goes with no other", param_hint="--lms")
    return found


def _subject(configuration: Configuration, slug: str, form: TenantFile, idp: str, lms: str) -> Subject:
    in_force = configuration.tenants.get(slug)
    signed = signs_requests(in_force) if in_force else form.saml.sign_requests
    ours = _public_halves(configuration.service, slug if form.saml.own_keys else "")
    return Subject(slug, form, idp, lms, ours, signed)


def _public_halves(service: Service, scope: str) -> tuple[SpKey, ...]:
    """Our certificates towards the tenant, the signing one first; none while there is no state to have them in."""
    try:
        found = look(service.state, keys.faces) or []
    except StateError as error:
        typer.echo(f"our certificates are left out: {error}", err=True)
        return ()
    return tuple(SpKey(key.id, b"", key.certificate or "") for key in found if key.kind == Kind(SAML, scope))


def _check_free(*paths: Path | None) -> None:
    """Before anything is written: whoever gets one of the files is to get all."""
    named = set()
    for path in filter(None, paths):
        if os.path.lexists(path):
            raise BridgeError(f"{shown(path)} is there already, and stays as it is: remove it, or name another")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise BridgeError(f"{shown(path)} cannot be written: there is no folder {shown(path.parent)} to write to")
        if (whole := path.parent.resolve() / path.name) in named:
            raise BridgeError(f"{shown(path)} is asked for twice: name another")
        named.add(whole)


def _put(made: Pack, page: Path | None, sp_metadata: Path | None) -> None:
    if page:
        place(page, as_page(made).encode())
    if sp_metadata:
        place(sp_metadata, made.metadata)


def _next_steps(slug: str, config: Path, problems: list[Problem]) -> Iterator[str]:
    """What the operator does after the file has been written."""
    if problems:
        yield "It still lacks:"
        yield from (f"  {problem}" for problem in problems)
        yield f"Until then {slug} is answered `tenant_unavailable`, at the address of our metadata for it as well; no"
        yield "other tenant is disturbed. `--sp-metadata FILE` writes it now, for an IdP that wants it first."
    else:
        yield "It is complete. A running service takes it over within seconds."
    yield f"Then: kombo-bridge check --live --tenant {slug} --config {shown(config)}"


def _print_titled(title: str, text: str) -> None:
    print(f"{title}\n{'-' * min(len(title), 100)}\n\n{text}\n")


def _fields(made: Pack) -> dict[str, Any]:
    """For scripts: each text as one sentence."""
    return {
        "tenant": made.slug,
        "name": made.customer,
        "platform": made.platform,
        "idp": made.idp.name,
        "lms": made.lms.name,
        "addresses": {value.label.lower().replace(" ", "_"): value.text for value in made.values},
        "certificates": [
            {"sha256": each.sha256, "until": each.ends.isoformat(), "pem": each.pem} for each in made.certificates
        ],
        "identifier": list(map(sentence, made.identifier)),
        "steps": [
            {
                "title": task.title,
                "at": task.at,
                "say": list(map(sentence, task.say)),
                "fields": [
                    {
                        "field": field.name,
                        "value": field.value,
                        "choose": sentence(field.choose) or None,
                        "note": sentence(field.note) or None,
                    }
                    for field in task.fields
                ],
                "copy": list(task.copies),
                "then": list(map(sentence, task.then)),
            }
            for task in made.tasks
        ],
        "remarks": list(map(sentence, made.remarks)),
        "operator": list(map(sentence, made.operator)),
        "login": made.login,
        "sp_metadata": made.metadata.decode(),
    }
