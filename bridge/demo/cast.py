"""Who is in the demo: three companies of the simulated Kombo, and the people at their IdPs.

Each company names its people by another tier: Acme by NameID, Globex by an attribute of its own, Initech by email
address only. Beside the people of the seed stand a few that Kombo does not know, or whose sign-in goes wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.demo.idp import Company, Fault, Person
from bridge.demo.platform import Course
from bridge.simulator import seed
from bridge.simulator.catalogue import CATALOGUE

PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
EMAIL = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"

COURSES = {offer.origin_id: Course(offer.title, offer.description, offer.minutes) for offer in CATALOGUE}

TENANTS: Mapping[str, Mapping[str, Any]] = {
    "acme": {
        "name": seed.ORGANIZATIONS[seed.ACME],
        "kombo": {"integration_id": seed.ACME},
        "email_domains": ["acme.com"],
        "identity": ["name_id", {"email": "mail"}],
        "gate": {"default": "assigned", "library": ["lib-*"]},
    },
    "globex": {
        "name": seed.ORGANIZATIONS[seed.GLOBEX],
        "kombo": {"integration_id": seed.GLOBEX},
        "email_domains": ["globex.com"],
        "identity": [{"attribute": "lms_user_id"}],
        "gate": "library",
        "on_launch": "enroll",
    },
    "initech": {
        "name": seed.ORGANIZATIONS[seed.INITECH],
        "kombo": {"integration_id": seed.INITECH},
        "email_domains": ["initech.com"],
        "identity": [{"email": "mail"}],
        "gate": {"default": "assigned", "library": ["lib-*"]},
    },
}
"""What stands in each tenant file, all but `saml`."""


def companies() -> Mapping[str, Company]:
    """The IdPs' side of the cast, by slug."""
    acme = Company("acme", TENANTS["acme"]["name"], "As NameID it sends the id that a person has in the LMS.", _acme())
    globex = Company(
        "globex",
        TENANTS["globex"]["name"],
        "As attribute lms_user_id it sends the id that a person has in the LMS. Every course is open to everybody.",
        _globex(),
    )
    initech = Company("initech", TENANTS["initech"]["name"], "It sends nothing but an email address.", _initech())
    return {company.slug: company for company in (acme, globex, initech)}


def _acme() -> dict[str, Person]:
    def member(person: seed.Person, role: str, outcome: str, fault: Fault | None = None) -> Person:
        mail = {"mail": person.email} if person.email else {}
        return Person(person.name, role, outcome, person.remote_id, PERSISTENT, mail, fault)

    samira, jane = seed.SAMIRA, seed.JANE
    by_mail = Person(
        samira.name,
        "Accounting; her sign-in sends only an address",
        "Shares that address with Sam: more than one account fits.",
        attributes={"mail": str(samira.email)},
    )
    newcomer = Person(
        "Nadia Newman", "Started this morning", "Not in the LMS yet: nobody is found.", "not-in-the-lms-yet", PERSISTENT
    )
    temp = Person("Theo Temp", "Hired by the day", "His sign-in says nothing that names a learner.")
    return {
        "jane": member(jane, "Sales", "Assigned to Introduction to Cybersecurity: it opens."),
        "carlos": member(seed.CARLOS, "Support", "Half way through Data Privacy Basics: it opens."),
        "aisha": member(seed.AISHA, "Research", "Completed an older revision: it still opens."),
        "hugo": member(seed.HUGO, "Logistics", "Assigned to nothing; the library is open to him."),
        "martin": member(seed.MARTIN, "Left for a sabbatical", "His account is inactive."),
        "samira": by_mail,
        "nadia": newcomer,
        "theo": temp,
        "mallory": Person(
            "Mallory Black",
            "Says to be Jane, and signs it herself",
            "Her key is not the company's: rejected.",
            jane.remote_id,
            PERSISTENT,
            fault="foreign_key",
        ),
        "stranger": member(jane, "Jane, for another service", "Made for another audience: rejected.", "wrong_audience"),
        "late": member(jane, "Jane, two hours ago", "Expired since: rejected.", "expired"),
        "sleeper": member(jane, "Jane, after a long lunch", "Its beginning is lost: start again.", "lost_request"),
    }


def _globex() -> dict[str, Person]:
    def member(person: seed.Person, role: str, outcome: str) -> Person:
        attributes = {"lms_user_id": person.remote_id, "displayName": person.name}
        return Person(person.name, role, outcome, person.email, EMAIL, attributes)

    return {
        "rita": member(seed.RITA, "Reactor safety", "Assigned to Code of Conduct: it opens."),
        "otto": member(seed.SLASH, "Field office", "His id has a slash in it, EMEA/0815: it opens all the same."),
        "frank": member(seed.FRANK, "Left last week", "Deleted in the LMS: nobody is found."),
    }


def _initech() -> dict[str, Person]:
    def member(person: seed.Person, role: str, outcome: str) -> Person:
        address = str(person.email).lower()
        return Person(person.name, role, outcome, "a-new-one-every-time", TRANSIENT, {"mail": address})

    return {
        "peter": member(seed.PETER, "Software", "Assigned to Data Privacy Basics: it opens."),
        "milton": member(seed.MILTON, "Storage, basement", "Assigned to Fire Safety at Work: it opens."),
    }
