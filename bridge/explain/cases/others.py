"""Refusals that neither a response nor a person nor a gate is the reason of: one sentence for each code."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.errors import Code
from bridge.explain.change import Change, Side
from bridge.printable import capitalized

_SAID: Mapping[Code, tuple[Side, str]] = {
    Code.LOGIN_REQUIRED: (
        "nobody",
        "The request had no session and was no page load, so it was not sent to a login: a script, an image or a form"
        " of a page whose session had ended. The learner loads the page again. If that path needs no identity, give it"
        " `access: public` or `optional` under `routes`.",
    ),
    Code.TENANT_UNKNOWN: (
        "link",
        "The link, the host or the address names a tenant that has no file. Correct the link in the LMS, or put the"
        " tenant's file into the folder that `tenants` names; `kombo-bridge check` lists those that are there.",
    ),
    Code.TENANT_UNAVAILABLE: (
        "bridge",
        "The tenant's file has never been valid, or its IdP's metadata cannot be used: `kombo-bridge check` says what"
        " is wrong, with file and line.",
    ),
    Code.LOGIN_EXPIRED: (
        "nobody",
        "The login took too long, had been used already, or its cookie did not come back. The learner opens the link"
        " again. If it happens at every login, the browser withholds our cookies: look at whether the LMS shows the"
        " course in a frame (`in_frames`), and whether `public_url` is the address that the browser shows.",
    ),
    Code.PATH_AMBIGUOUS: (
        "link",
        "The path or query could be read in two ways, by the bridge and by the platform. Let the link name the path"
        " plainly: no doubled or encoded slashes, no dot segments, each parameter once.",
    ),
    Code.HEADERS_AMBIGUOUS: (
        "link",
        "The request had a header that a platform could take for one of the bridge's (such as X_Kombo_User). No browser"
        " sends one: look at the proxy in front, or at the client that made the request.",
    ),
    Code.REQUEST_MALFORMED: (
        "link",
        "The request was not HTTP as it should be, or too large. No browser sends one such: look at the proxy in front,"
        " or at the client that made the request.",
    ),
    Code.HOST_UNKNOWN: (
        "bridge",
        "The request was for a host that is neither `public_url`'s nor among any tenant's `hosts`. If learners are to"
        " reach the bridge by it, add it there; if not, correct the link or the DNS record.",
    ),
    Code.UPSTREAM_UNAVAILABLE: (
        "bridge",
        "The platform could not be reached, or did not answer in HTTP: see that it runs, and that `upstream` is its"
        " address.",
    ),
    Code.UPSTREAM_TIMEOUT: (
        "bridge",
        "The platform did not answer in time: look at its own log. How long the bridge waits, `forwarding` says.",
    ),
    Code.USER_UNKNOWN: (
        "kombo",
        "Nobody could tell who this is: neither the synced copy nor Kombo. `kombo-bridge sync` says what is wrong.",
    ),
    Code.IDENTIFIER_MISSING: (
        "idp",
        "The IdP sends none of what `identity` in the tenant's file names.",
    ),
    Code.USER_UNMATCHED: (
        "lms",
        "Nobody in the LMS has that id. Ask those who run it whether the account exists, under exactly that id; a"
        " platform that reports completions has to name people by the ids that it was told (`X-Kombo-User`,"
        " `X-Kombo-Remote-Id`).",
    ),
    Code.USER_AMBIGUOUS: (
        "lms",
        "Several people have that id or address, and which of them is meant is not for the bridge to guess: name them"
        " by what is one person's.",
    ),
    Code.USER_INACTIVE: (
        "lms",
        "The account is not active in the LMS: let those who run it activate it.",
    ),
    Code.COURSE_UNKNOWN: (
        "link",
        "The link names no course, or one that no Kombo course has as its origin id: correct it in the LMS, or push the"
        " course (`kombo-bridge courses push`).",
    ),
    Code.NOT_ENROLLED: (
        "lms",
        "Nothing is assigned to somebody whom nobody in Kombo matched: let them be matched first, or let the gate of"
        " this course be `library`.",
    ),
    Code.ENROLLMENT_UNKNOWN: (
        "kombo",
        "Nobody could tell whether the course is assigned: neither the synced copy nor Kombo. `kombo-bridge sync` says"
        " what is wrong.",
    ),
    Code.SAML_MALFORMED: (
        "idp",
        "What came to the ACS is no SAML response by HTTP-POST. Look at what the IdP sends there, and by which"
        " binding.",
    ),
}


def change_of(code: Code, reason: str) -> Change | None:
    if code not in _SAID:
        return None
    side, said = _SAID[code]
    return Change(str(code), side, f"{capitalized(reason)}. {said}" if reason else said)
