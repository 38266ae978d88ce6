"""What there is to try in the demo, as data: the start page draws it, and a test can walk it."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

import msgspec

from bridge.demo.cast import companies
from bridge.errors import Code
from bridge.simulator import seed


@dataclass(frozen=True, slots=True)
class Card:
    """One launch to click. `person` is company/key; without one nobody signs in beforehand, and `path` stands as it is.

    `expected` None means that the platform's page comes.
    """

    key: str
    title: str
    path: str
    why: str
    person: str = ""
    expected: Code | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A section of the start page."""

    key: str
    title: str
    about: str
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Launch:
    """A card on a running demo: `url` signs the person in at the IdP and ends at the deep link."""

    key: str
    title: str
    who: str
    tenant: str
    url: str
    expected: Code | None
    why: str


@dataclass(frozen=True, slots=True)
class Command:
    """Something to try in a shell; `expected` None means that nothing is refused."""

    title: str
    line: str
    why: str
    expected: Code | None = None


@cache
def groups() -> tuple[Group, ...]:
    """The groups of `launches.yaml`, in its order."""
    return msgspec.yaml.decode(Path(__file__).with_suffix(".yaml").read_bytes(), type=tuple[Group, ...])


def launch(card: Card, *, bridge: str, idp: str) -> Launch:
    """The card on a demo whose bridge and IdP have these origins."""
    if not card.person:
        return Launch(card.key, card.title, "Nobody in particular", "", bridge + card.path, card.expected, card.why)
    slug, _, key = card.person.partition("/")
    company = companies()[slug]
    deep_link = f"{bridge}{card.path}{'&' if '?' in card.path else '?'}tenant={slug}"
    url = f"{idp}/{slug}/as/{key}?then={quote(deep_link, safe='')}"
    who = f"{company.people[key].name}, {company.name}"
    return Launch(card.key, card.title, who, slug, url, card.expected, card.why)


def launches(*, bridge: str, idp: str) -> tuple[Launch, ...]:
    """All of them, in the order of the start page."""
    return tuple(launch(card, bridge=bridge, idp=idp) for group in groups() for card in group.cards)


def commands(*, bridge: str, kombo: str) -> tuple[Command, ...]:
    """What a browser does not do by itself; `kombo` is the origin of the simulator."""
    return (
        Command(
            "Assign the course to Hugo",
            _assignment(kombo),
            "A webhook tells the bridge. His page of refusal looks again by itself, and opens the course.",
        ),
        Command(
            "Claim to be somebody",
            f"curl -s -H 'X-Kombo-User: somebody' '{bridge}/?format=json'",
            "The header is dropped before the request is forwarded: look at “identity” in the answer.",
        ),
        Command(
            "Claim it in another spelling",
            f"curl -i -H 'X_Kombo_User: somebody' '{bridge}/'",
            "Some servers read an underscore as a hyphen, so this one is refused.",
            Code.HEADERS_AMBIGUOUS,
        ),
        Command(
            "Come without a session, and not as a page",
            f"curl -i '{bridge}/courses/cybersecurity-101?tenant=acme'",
            "A program gets a problem document, not a redirect to a login.",
            Code.LOGIN_REQUIRED,
        ),
        Command(
            "Use another name for this host",
            f"curl -i -H 'Host: learn.example.org' '{bridge}/'",
            "Nothing is ever built from a Host header that the settings do not name.",
            Code.HOST_UNKNOWN,
        ),
    )


def operations(config: Path) -> tuple[Command, ...]:
    """What an operator runs beside the service, for the settings at `config`."""

    def line(*words: str) -> str:
        return shlex.join([str(Path(sys.executable).with_name("kombo-bridge")), *words, "--config", str(config)])

    catalogue = str(config.with_name("catalog.yaml"))
    return (
        Command(
            "Push the catalogue into Acme's LMS",
            line("courses", "push", catalogue, "--tenant", "acme"),
            "A second time there is nothing to send.",
        ),
        Command(
            "See who was refused for want of an enrollment",
            line("launches", "misses"),
            "And, once a course was assigned, which of them were only delayed.",
        ),
        Command(
            "See what was written to the LMS",
            line("outbox", "--all"),
            "Finish a course first, or open one of Globex, whose learners are enrolled in whatever they open.",
        ),
    )


def _assignment(kombo: str) -> str:
    body = {
        "integration": seed.ACME,
        "remote_id": "assigned-in-the-demo",
        "user_id": seed.HUGO.id,
        "course_revision_id": seed.revision_id(seed.ACME, "cybersecurity-101", 2),
    }
    data = shlex.quote(json.dumps(body))
    return f"curl -s '{kombo}/_control/progressions' \\\n  -H 'Content-Type: application/json' \\\n  -d {data}"
