"""`kombo-bridge headers`: what the platform would receive, made and signed as the service does it.

Whoever can read the state and the secrets can say who anybody is: this command, the service, and nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json as jsonlib
import math
import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import httpx
import typer

from bridge.cli import DEFAULT_CONFIG, ConfigPath, app
from bridge.cli.signing import held
from bridge.cli.tenants import named
from bridge.directory.unasked import NotAsked
from bridge.errors import BridgeError, Refusal
from bridge.front.learners import learner
from bridge.gate.gate import Gate
from bridge.identity.resolver import Match, Resolver
from bridge.idps.documents import load_settings
from bridge.keys.custody import HeldKeys
from bridge.printable import printable
from bridge.saml.model import Assertion, NameId
from bridge.session.sessions import Entry
from bridge.settings.addresses import Upstream
from bridge.settings.model import Configuration, IdentityEntry, Service, Tenant
from bridge.stamp.assertion import LIFETIME_SECONDS, Signer
from bridge.stamp.headers import Stamp
from bridge.stamp.identity import Access, Learner
from bridge.store.engine import Store, exists
from bridge.store.sessions import SessionRow

ANSWER_SECONDS = 15.0
SHOWN_BYTES = 16_384
"""Of the platform's answer."""


class Made(StrEnum):
    """An enrollment that nobody has looked up."""

    ENROLLED = "ENROLLED"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    LIBRARY = "LIBRARY"


@app.command()
def headers(
    config: ConfigPath = DEFAULT_CONFIG,
    tenant: Annotated[str | None, typer.Option(help="The tenant's slug.")] = None,
    user: Annotated[str | None, typer.Option(metavar="REMOTE_ID", help="The learner's id in the LMS.")] = None,
    course: Annotated[str | None, typer.Option(metavar="ORIGIN_ID", help="As on a route of this course.")] = None,
    enrollment: Annotated[
        Made | None, typer.Option(help="Do not ask the gate: say this of the course, as an example.")
    ] = None,
    send: Annotated[str | None, typer.Option(metavar="URL", help="Make this GET request with them.")] = None,
    curl: Annotated[bool, typer.Option("--curl", help="Print a command line that sends them to `upstream`.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
) -> None:
    """Print or send the signed headers of a learner's request, for developing a platform without any IdP.

    The person and the enrollment are those of the synced state, judged as at a launch, but Kombo is not asked. Without
    --tenant and --user: what a request without a learner gets.
    """
    if (tenant is None) != (user is None):
        raise typer.BadParameter("they go together", param_hint="--tenant, --user")
    if user is not None and not user.strip():
        raise typer.BadParameter("nobody has an empty id", param_hint="--user")
    if user is None and (course or enrollment):
        raise typer.BadParameter("a course is entered by a learner: --tenant and --user", param_hint="--course")
    if enrollment and not course:
        raise typer.BadParameter("of which course? --course", param_hint="--enrollment")
    if (send is not None) + curl + json > 1:
        raise typer.BadParameter("one of them", param_hint="--send, --curl, --json")
    configuration = load_settings(config)
    keys = held(configuration)
    said = _Said(None, None)
    if tenant is not None and user is not None:
        said = asyncio.run(_said(configuration, named(configuration, tenant), user, course, enrollment))
    lines = _lines(configuration.service, keys, said)
    if send is not None:
        raise typer.Exit(_send(send, lines))
    if curl:
        print(_curl(configuration.service.upstream, lines))
    elif json:
        print(jsonlib.dumps(lines, indent=2))
    else:
        for name, value in lines.items():
            print(f"{name}: {value}".rstrip())
    if enrollment:
        print("an example: nobody has looked up this enrollment", file=sys.stderr)
    print(f"signed just now; verifies for {LIFETIME_SECONDS} s with `kombo-bridge keys jwks`", file=sys.stderr)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the headers are to say."""

    learner: Learner | None
    access: Access | None


async def _said(
    configuration: Configuration, tenant: Tenant, remote_id: str, course: str | None, enrollment: Made | None
) -> _Said:
    """Raises `BridgeError` where a launch would be refused."""
    state = configuration.service.state
    if not exists(state):
        raise BridgeError("there is no state yet; run `kombo-bridge sync`, or `kombo-bridge serve`, first")
    with contextlib.closing(Store(state)) as store:
        try:
            match = await _match(store, tenant, remote_id)
            access = None
            if course and enrollment:
                access = Access(course, enrollment, "library" if enrollment is Made.LIBRARY else "fresh")
            elif course:
                access = await Gate(store, NotAsked()).check(tenant, match.person, course)
        except Refusal as refusal:
            raise BridgeError(printable(f"{refusal.code}: {refusal.reason}")) from refusal
    return _Said(learner(_session(tenant, match)), access)


async def _match(store: Store, tenant: Tenant, remote_id: str) -> Match:
    """The person as if the tenant's IdP had asserted their remote id."""
    now = datetime.now(UTC)
    assertion = Assertion(
        id="",
        issuer=tenant.provider.entity_id,
        subject=NameId(remote_id),
        attributes=(),
        issued=now,
        authn_instant=now,
        session_index=None,
        session_not_on_or_after=None,
        expires=now,
        in_response_to=None,
    )
    by_remote_id = tenant.model_copy(update={"identity": (IdentityEntry(tier="name_id"),)})
    return await Resolver(store, NotAsked()).resolve(assertion, by_remote_id)


def _session(tenant: Tenant, match: Match) -> Entry:
    """As if they had signed in just now, by the tenant's first tier; nothing of it is kept."""
    now = datetime.now(UTC)
    moment = int(now.timestamp() * 1000)
    row = SessionRow(
        digest="",
        tenant=tenant.slug,
        integration_id=tenant.integration_id,
        provider=tenant.provider.entity_id,
        user_id=match.person.id if match.person else None,
        subject=match.subject,
        tier=tenant.identity[0].tier,
        auth_time=int(now.timestamp()),
        created_at=moment,
        used_at=moment,
        ends_at=moment,
    )
    return Entry(row, tenant, match.person, until=math.inf)


def _lines(service: Service, keys: HeldKeys, said: _Said) -> dict[str, str]:
    signer = Signer(lambda: keys.ring, issuer=service.public_url, audience=service.audience)
    block = Stamp(signer, service.headers).block(said.learner, said.access).decode("ascii")
    return dict(line.split(": ", 1) for line in block.split("\r\n") if line)


def _send(url: str, lines: dict[str, str]) -> int:
    """Show what the platform answers; 1 where that is an error."""
    try:
        client = httpx.Client(trust_env=False, timeout=ANSWER_SECONDS)
        with client, client.stream("GET", url, headers=lines) as answer:
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk[: SHOWN_BYTES - len(body)]
                if len(body) >= SHOWN_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # the last is of a host that is no name
        raise BridgeError(
            f"{printable(url)} gave no answer: {printable(str(error)) or type(error).__name__}"
        ) from error
    print(f"{answer.status_code} {printable(answer.reason_phrase)}")
    for line in bytes(body).decode(errors="replace").splitlines():
        print(printable(line))
    return 1 if answer.is_error else 0


def _curl(upstream: Upstream, lines: dict[str, str]) -> str:
    socket = upstream.scheme == "unix"
    where = ["--unix-socket", upstream.path, "http://localhost/"] if socket else [f"{upstream}/"]
    # curl drops a header that ends at the colon, and sends one that ends with a semicolon as empty.
    said = (f"{name}: {value}" if value else f"{name};" for name, value in lines.items())
    return " \\\n  ".join([shlex.join(["curl", *where]), *(shlex.join(["-H", each]) for each in said)])
