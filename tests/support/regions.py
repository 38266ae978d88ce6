"""Tenants whose Kombos are several, so that several faults can be tried at a time over one bridge."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bridge.directory.budget import OF_A_TENANT, Budget
from bridge.errors import KomboUnavailable
from bridge.simulator import seed
from bridge.simulator.catalogue import CATALOGUE
from tests.support.scene import Kombo, Node, Scene

FAULTS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("kombo_faults.yaml").read_text())
"""See there for what each says."""

REGIONS = {"north": seed.ACME, "east": seed.GLOBEX, "south": seed.INITECH, "west": seed.VANDELAY}
USERS, PROGRESSIONS = "/v1/lms/users", "/v1/lms/course-progressions"
OPENING = ("ENROLLED", "IN_PROGRESS", "COMPLETED")
COURSE = "incident-reporting"
"""The course of those who are new."""

Case = dict[str, Any]


@dataclass
class Region:
    """A tenant whose Kombo is another than the others', so that a fault of each can be tried at the same time."""

    slug: str
    kombo: Kombo
    node: Node
    integration: str
    learners: Iterator[Learner]
    budget: Budget = field(default_factory=lambda: Budget(OF_A_TENANT))

    async def affords(self, questions: int) -> None:
        """Wait until the bridge may ask so many about this tenant."""
        while True:
            with contextlib.suppress(KomboUnavailable):
                async with self.budget.spend(questions):
                    return
            await asyncio.sleep(0.2)


@dataclass(frozen=True)
class Learner:
    """Whom the directory has, with a course that is open, one that will be assigned, and one that never is."""

    person: seed.Person
    open: str
    later: str
    never: str


def in_regions(found: Scene, **kombo: str) -> None:
    """One tenant for each Kombo, for `prepare`; `kombo` are their settings."""
    template = found.deployment.tenants["acme"]
    found.deployment.tenants = {
        slug: template
        | {
            "kombo": {"integration_id": integration, "api_url": each.base_url, **kombo},
            "saml": {"metadata": f"{slug}-idp.xml"},
        }
        for (slug, integration), each in zip(REGIONS.items(), found.kombos, strict=True)
    }


async def regions_of(found: Scene) -> list[Region]:
    """Once the bridge is up and has read them all."""
    found.node.start()
    found.node.wait()
    await found.synced()
    return [
        Region(slug, kombo, found.node, integration, learners(integration))
        for (slug, integration), kombo in zip(REGIONS.items(), found.kombos, strict=True)
    ]


def learners(integration: str) -> Iterator[Learner]:
    """Each in turn: nobody asks for so many courses at a time that their live questions are used up."""
    courses = [offer.origin_id for offer in CATALOGUE if offer.origin_id not in (COURSE, "export-controls")]
    each: list[list[Learner]] = []
    for person in seed.PEOPLE:
        opened = [course for course, status in person.assigned if status in OPENING and course in courses]
        if (person.integration, person.status) == (integration, "ACTIVE") and opened and person != seed.OLGA:
            others = [course for course in courses if course not in dict(person.assigned)]
            pairs = zip(others[::2], others[1::2], strict=False)
            each.append([Learner(person, opened[0], *pair) for pair in pairs])
    for turn in zip(*each, strict=False):
        yield from turn


async def each_in_some_region(
    regions: list[Region], cases: Iterable[Case], attempt: Callable[[Region, Case], Awaitable[tuple[object, object]]]
) -> None:
    """Try every case in whichever region is free; `attempt` says what should have come of it, and what did."""
    waiting, wrong = iter(cases), []

    async def one_after_the_other(region: Region) -> None:
        for case in waiting:
            try:
                wanted, got = await attempt(region, case)
            except Exception as error:
                wanted, got = "", repr(error)
            if wanted != got:
                wrong.append(f"{case['case']} ({region.slug}): {got}, not {wanted}")

    await asyncio.gather(*map(one_after_the_other, regions))
    assert not wrong, "\n".join(wrong)
