"""A plausible Kombo environment: four customers of one content provider, always the same ones.

    Acme Corporation     Workday            ids are WIDs; the guide's Jane Doe works here
    Globex               SuccessFactors     ids are student ids such as E12345, some of them hostile to URLs and lists
    Initech              Cornerstone        ids are numbers; think of an IdP that knows only email addresses
    Vandelay Industries  Docebo             ids are composites such as PERNR:00012345|DE01

Each has the whole catalogue as courses. Who shows what, as constants of this module:

    ACME      JANE          enrolled in cybersecurity-101, in its newer revision: the ordinary launch
              CARLOS        in progress in data-privacy-basics, enrolled in code-of-conduct
              AISHA         completed cybersecurity-101 in its older revision: still opens
              LENA          no status at all (null): counts as active
              NOOR          no email address
              INGRID        came back: INGRID_BEFORE is inactive and has the same address; the active one counts
              TOM           dropped data-privacy-basics: does not open
              PRIYA         a progression without a status (null): does not open
              JONAS         only a progression in a revision without a course (`course: null`): opens nothing
              HUGO          assigned to nothing: "not enrolled", until somebody assigns
              MARTIN        inactive
              OLGA          deleted, and anonymised since
              SAM, SAMIRA   two people with one email address: ambiguous by email, fine by id
    GLOBEX    (its course export-controls has no origin id)
              RITA          student id E777, enrolled in code-of-conduct
              COMMA         student id `E777,E778`: as a filter it would name two people
              SLASH, HASH   student ids `EMEA/0815` and `contractor#42`
              FRANK         deleted, name and address still there, for good
    INITECH   PETER         address stored as Peter.Gibbons@Initech.com: email ignores case
              MILTON        id 4711, as has the course fire-safety: one Kombo id for both
    VANDELAY  KLARA         PERNR:00012345|DE01, enrolled in data-privacy-basics
              KLAUS         PERNR:00012345|AT07: the same personnel number in another company

Everybody else is enrolled in two courses of compliance training, by a fixed pattern. Acme has a cost centre of each of
its people as an integration field, which is not passed through until somebody asks for it, and a custom field for it.

Acme can have any number of further learners, progressions and courses: see `crowd`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bridge.simulator.catalogue import CATALOGUE, Offer
from bridge.simulator.crowd import Assignments, Learners
from bridge.simulator.fields import CustomField, IntegrationField
from bridge.simulator.integration import Integration, utc_now
from bridge.simulator.records import Course, Provider, Revision, Skill, User, kombo_id
from bridge.simulator.world import World

API_KEY = "simulated-kombo-key"
SEEDED_AT = datetime(2025, 9, 1, 6, tzinfo=UTC)
"""When Kombo saw everything here for the first time."""

ACME = "workday:HWUTwvyx2wLoSUHphiWVrp28"
GLOBEX = "successfactors:3Qe5ZtGvYkN7sXbRmJw2DpLc"
INITECH = "cornerstoneondemand:B8kTfHn4WxVq6YjZgPa9RuSe"
VANDELAY = "docebo:9MzKdXrC5vTtEwGhNb3QyLfA"
ORGANIZATIONS = {ACME: "Acme Corporation", GLOBEX: "Globex", INITECH: "Initech", VANDELAY: "Vandelay Industries"}


@dataclass(frozen=True, slots=True)
class Person:
    """One learner. `assigned` says (origin id, status of the progression); `@1` means the course's older revision."""

    integration: str
    remote_id: str
    first_name: str
    last_name: str
    email: str | None
    status: str | None = "ACTIVE"
    assigned: tuple[tuple[str, str | None], ...] = ()

    @property
    def id(self) -> str:
        """The Kombo user id."""
        return kombo_id(self.remote_id, self.integration)

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


def _wid(name: str) -> str:
    """A Workday id: 32 hexadecimal digits."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _acme(
    name: str,
    *,
    wid: str = "",
    email: str | None = "",
    status: str | None = "ACTIVE",
    assigned: tuple[tuple[str, str | None], ...] = (),
) -> Person:
    first, _, last = name.partition(" ")
    email = f"{first}.{last}@acme.com".lower() if email == "" else email
    return Person(ACME, _wid(wid or name), first, last, email, status, assigned)


JANE = _acme("Jane Doe", assigned=(("cybersecurity-101", "ENROLLED"),))
CARLOS = _acme("Carlos Ruiz", assigned=(("data-privacy-basics", "IN_PROGRESS"), ("code-of-conduct", "ENROLLED")))
AISHA = _acme("Aisha Khan", assigned=(("cybersecurity-101@1", "COMPLETED"),))
LENA = _acme("Lena Fischer", status=None, assigned=(("cybersecurity-101", "ENROLLED"),))
NOOR = _acme("Noor Haddad", email=None, assigned=(("cybersecurity-101", "ENROLLED"),))
INGRID = _acme("Ingrid Solberg", assigned=(("cybersecurity-101", "ENROLLED"),))
INGRID_BEFORE = _acme("Ingrid Solberg", wid="Ingrid Solberg, until 2023", status="INACTIVE")
TOM = _acme("Tom Baker", assigned=(("data-privacy-basics", "DROPPED"),))
PRIYA = _acme("Priya Sharma", assigned=(("data-privacy-basics", None),))
JONAS = _acme("Jonas Weber")
HUGO = _acme("Hugo Martin")
MARTIN = _acme("Martin Novak", status="INACTIVE", assigned=(("cybersecurity-101", "ENROLLED"),))
OLGA = _acme("Olga Petrova", assigned=(("cybersecurity-101", "ENROLLED"),))
SAM = _acme("Sam Lee", assigned=(("cybersecurity-101", "ENROLLED"),))
SAMIRA = _acme("Samira Lee", email="sam.lee@acme.com", assigned=(("cybersecurity-101", "ENROLLED"),))

RITA = Person(GLOBEX, "E777", "Rita", "Moreno", "rita.moreno@globex.com", assigned=(("code-of-conduct", "ENROLLED"),))
COMMA = Person(GLOBEX, "E777,E778", "Ana", "Costa", "ana.costa@globex.com", assigned=(("code-of-conduct", "ENROLLED"),))
SLASH = Person(GLOBEX, "EMEA/0815", "Otto", "Lang", "otto.lang@globex.com", assigned=(("code-of-conduct", "ENROLLED"),))
HASH = Person(
    GLOBEX, "contractor#42", "Kim", "Park", "kim.park@globex.com", assigned=(("code-of-conduct", "ENROLLED"),)
)
FRANK = Person(GLOBEX, "E404", "Frank", "Grimes", "frank.grimes@globex.com")

PETER = Person(
    INITECH, "100231", "Peter", "Gibbons", "Peter.Gibbons@Initech.com", assigned=(("data-privacy-basics", "ENROLLED"),)
)
MILTON = Person(INITECH, "4711", "Milton", "Waddams", "milton@initech.com", assigned=(("fire-safety", "ENROLLED"),))

KLARA = Person(
    VANDELAY,
    "PERNR:00012345|DE01",
    "Klara",
    "Vogel",
    "klara.vogel@vandelay.example",
    assigned=(("data-privacy-basics", "ENROLLED"),),
)
KLAUS = Person(VANDELAY, "PERNR:00012345|AT07", "Klaus", "Huber", "klaus.huber@vandelay.example")

CAST = (
    *(JANE, CARLOS, AISHA, LENA, NOOR, INGRID, INGRID_BEFORE, TOM, PRIYA, JONAS, HUGO, MARTIN, OLGA, SAM, SAMIRA),
    *(RITA, COMMA, SLASH, HASH, FRANK, PETER, MILTON, KLARA, KLAUS),
)


def _crowd() -> list[Person]:
    """The people with nothing remarkable about them."""
    extras = {
        ACME: ("acme.com", "Wei Chen", "Fatima Zahra", "Lucas Silva", "Emma Brown", "Yusuf Demir"),
        GLOBEX: ("globex.com", "Hank Scorpio", "Marta Kowalska", "Liam Murphy", "Chloe Dubois", "Ravi Patel"),
        INITECH: ("initech.com", "Samir Nagheenanajar", "Michael Bolton", "Joanna Reed", "Bill Lumbergh", "Tina Wu"),
        VANDELAY: ("vandelay.example", "Art Keller", "Elaine Maier", "George Steiner", "Greta Lind"),
    }
    compliance = [offer.origin_id for offer in CATALOGUE if offer.kind == "compliance"]
    people = []
    for integration, (domain, *names) in extras.items():
        for number, name in enumerate(names, 1):
            first, _, last = name.partition(" ")
            remote_id = {
                ACME: _wid(name),
                GLOBEX: f"E{12340 + number}",
                INITECH: str(100300 + number),
                VANDELAY: f"PERNR:{number:08d}|DE01",
            }[integration]
            statuses = ("ENROLLED", "IN_PROGRESS", "COMPLETED")
            assigned = tuple((compliance[(number + n) % len(compliance)], statuses[(number + n) % 3]) for n in (0, 4))
            email = f"{first}.{last}@{domain}".lower()
            people.append(Person(integration, remote_id, first, last, email, "ACTIVE", assigned))
    return people


PEOPLE = (*CAST, *_crowd())


def seeded(*, people: int = 0, progressions: int = 0, courses: int = 0) -> World:
    """A new world with everything in it, and so many more of Acme; from here on its clock is the real one.

    Raises `ValueError` where there would be progressions of nobody.
    """
    world = World(api_key=API_KEY, environment_id="simulated-environment", clock=lambda: SEEDED_AT)
    for id, organization in ORGANIZATIONS.items():
        integration = world.add(Integration(id, organization, origin_id=organization.split()[0].lower()))
        integration.put(Provider(id=kombo_id("provider", id), remote_id="provider", name="Content Provider"))
        integration.put(Skill(id=kombo_id("skill", id), name="Compliance"))
        for offer in CATALOGUE:
            _add_course(integration, offer)
        for person in PEOPLE:
            if person.integration == id:
                _add_person(integration, person)
    acme = world.integrations[ACME]
    _add_orphan(acme)
    _add_fields(acme)
    _delete(acme, OLGA)
    acme.users.anonymise(OLGA.id, SEEDED_AT)
    _delete(world.integrations[GLOBEX], FRANK)
    _add_crowd(acme, people, progressions, courses)
    for integration in world.integrations.values():
        integration.changed.clear()
        for table in integration.tables.values():
            table.finalise()
    world.set_clock(utc_now)
    return world


def course_id(integration: str, origin_id: str) -> str:
    """The Kombo course id of a course of the catalogue."""
    return kombo_id(_course_remote_id(integration, origin_id), integration)


def revision_id(integration: str, origin_id: str, number: int = 1) -> str:
    """The Kombo id of one of its revisions; `cybersecurity-101` has two, every other course one."""
    return kombo_id(f"{_course_remote_id(integration, origin_id)}@{number}", integration)


def _course_remote_id(integration: str, origin_id: str) -> str:
    return "4711" if (integration, origin_id) == (INITECH, "fire-safety") else f"ext-{origin_id}"


def _add_course(integration: Integration, offer: Offer) -> None:
    """SuccessFactors is not sure to return origin ids, so Globex lacks one. Only the newest revision is active."""
    remote_id = _course_remote_id(integration.id, offer.origin_id)
    unnamed = (integration.id, offer.origin_id) == (GLOBEX, "export-controls")
    since = SEEDED_AT - timedelta(days=400)
    course = Course(
        id=course_id(integration.id, offer.origin_id),
        remote_id=remote_id,
        origin_id=None if unnamed else offer.origin_id,
        provider_id=kombo_id("provider", integration.id) if offer.kind != "compliance" else None,
        remote_created_at=since,
    )
    integration.put(course)
    newest = _newest(offer.origin_id)
    for number in range(1, newest + 1):
        revision = Revision(
            id=revision_id(integration.id, offer.origin_id, number),
            remote_id=f"{remote_id}@{number}",
            course_id=course.id,
            title=offer.title,
            description=offer.description,
            status="ACTIVE" if number == newest else "INACTIVE",
            remote_created_at=since + timedelta(days=200 * (number - 1)),
            skills=(kombo_id("skill", integration.id),) if offer.kind == "compliance" else None,
        )
        integration.put(revision)


def _newest(origin_id: str) -> int:
    return 2 if origin_id == "cybersecurity-101" else 1


def _add_person(integration: Integration, person: Person) -> None:
    """Workday does not say when a person was created."""
    user = User(
        id=person.id,
        remote_id=person.remote_id,
        first_name=person.first_name,
        last_name=person.last_name,
        work_email=person.email,
        status=person.status,
        remote_created_at=None if integration.tool == "workday" else SEEDED_AT - timedelta(days=700),
        extra={"cost_center": f"{sum(person.remote_id.encode()) % 9000 + 1000}"} if integration.id == ACME else None,
    )
    integration.put(user)
    for reference, status in person.assigned:
        origin_id, _, number = reference.partition("@")
        integration.enroll(
            person.id,
            revision_id(integration.id, origin_id, int(number or _newest(origin_id))),
            status=status,
            enrolled_at=SEEDED_AT - timedelta(days=90),
            completed_at=SEEDED_AT - timedelta(days=30) if status == "COMPLETED" else None,
        )


def _add_orphan(integration: Integration) -> None:
    """A revision whose course the connector cannot name, and JONAS in it."""
    remote_id = "legacy-induction@1"
    revision = Revision(id=kombo_id(remote_id, integration.id), remote_id=remote_id, title="Induction (archived)")
    integration.put(revision)
    integration.enroll(JONAS.id, revision.id, enrolled_at=SEEDED_AT - timedelta(days=300))


def _add_fields(integration: Integration) -> None:
    cost_center = IntegrationField(
        kombo_id("field", "cost_center"), "cost_center", "lms_users", "CUSTOM", "Cost center"
    )
    number = CustomField(kombo_id("custom", "cost_center"), "cost_center_number", "lms_users", label="Cost center")
    integration.integration_fields.append(cost_center)
    integration.custom_fields.append(number)


def _add_crowd(integration: Integration, people: int, progressions: int, courses: int) -> None:
    for number in range(1, courses + 1):
        _add_course(integration, Offer(f"course-{number:05}", f"Course {number}", "video", 10, f"Number {number}."))
    learners = Learners(integration.id, people, "acme.com")
    offers = [offer.origin_id for offer in CATALOGUE] + [f"course-{number:05}" for number in range(1, courses + 1)]
    open_to_all = [revision_id(integration.id, origin_id, _newest(origin_id)) for origin_id in offers]
    integration.users.settle(learners, SEEDED_AT)
    assignments = Assignments(integration.id, progressions, learners, open_to_all, SEEDED_AT)
    integration.progressions.settle(assignments, SEEDED_AT)


def _delete(integration: Integration, person: Person) -> None:
    """The LMS forgot a person, and what they were enrolled in."""
    for progression in list(integration.progressions.lms.values()):
        if progression.user_id == person.id:
            integration.remove(integration.progressions, progression.id)
    integration.remove(integration.users, person.id)
