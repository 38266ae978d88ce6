"""Clocks that differ, and answers that came late."""

from __future__ import annotations

from datetime import datetime, timedelta

from bridge.explain.cases.failed import Cases, Failed
from bridge.explain.change import Change, Write
from bridge.moments import span
from bridge.printable import capitalized
from bridge.saml.rules import MAX_AGE, UNSIGNED
from bridge.settings.measures import MAX_CLOCK_SKEW

SECOND = timedelta(seconds=1)


def clock_ahead(failed: Failed) -> Change | None:
    """An instant in the future measures the IdP's clock: the way through the browser only ever makes it less."""
    offset = _offset(failed)
    if offset is None or offset <= timedelta():
        return None
    right = (
        "Set the clocks right: let the customer's IT synchronise the IdP's by NTP, and see that this machine's is"
        " (`timedatectl`)."
    )
    if UNSIGNED in failed.found:  # so that whoever posts it could choose how far `clock_skew` is opened
        return Change(
            "clock_ahead",
            "idp",
            f"By the time on it, which nobody has signed, the response was issued {span(offset)} after it came. If"
            f" that happens at each login, the IdP's clock is ahead of ours by as much. {right}",
        )
    return Change(
        "clock_ahead",
        "idp",
        f"The IdP's clock is at least {span(offset)} ahead of ours, and `saml.clock_skew` allows"
        f" {span(failed.tenant.saml.clock_skew)}. {right}{_meanwhile(offset)}",
        _raised(failed, offset),
    )


def too_old(failed: Failed) -> Change | None:
    offset = _offset(failed)
    if offset is None or -offset <= MAX_AGE:
        return None
    return Change(
        "too_old",
        "nobody",
        f"The response was issued {span(-offset)} before it came: it was sent again, or kept back, by a browser's"
        " history for example. The learner only has to open the link again. Should that happen at every login, the"
        " IdP's clock is behind by as much.",
    )


def clock_behind(failed: Failed) -> Change | None:
    """One in the past may be a slow learner as well as a slow clock."""
    offset = _offset(failed)
    if offset is None:
        return None
    return Change(
        "late_or_clock_behind",
        "idp",
        f"By the IdP's clock the response was issued {span(-offset)} before it came, and by then its time was over."
        " If that happens at each login, the IdP's clock is behind: let the customer's IT synchronise it by NTP, or let"
        " assertions be valid for five minutes; if once only, the learner took that long, and opens the link again."
        f"{_meanwhile(-offset)}",
        _raised(failed, -offset),
    )


def contradictory(failed: Failed) -> Change:
    return Change(
        "times_contradict",
        "idp",
        f"{capitalized(failed.reason)}. The times in it contradict each other even as of the moment"
        " at which it says that it was issued. Let the customer's IT look at how long its IdP lets assertions be valid,"
        " and synchronise the clocks of all its servers.",
    )


def session_over(failed: Failed) -> Change:
    return Change(
        "session_over",
        "idp",
        f"{capitalized(failed.reason)}. The IdP answered from a session of its own that it calls"
        " over: the learner signs out there and in again. Should it happen to everybody, let the customer's IT look at"
        " SessionNotOnOrAfter, or the IdP's clock.",
    )


def _offset(failed: Failed) -> timedelta | None:
    """When it says that it was issued, less when it came; None where only its own times were compared."""
    if failed.judged is not None or not failed.found:
        return None
    try:
        issued = datetime.fromisoformat(failed.found[0])
    except ValueError:
        return None
    return issued - failed.received if issued.tzinfo else None


def _meanwhile(offset: timedelta) -> str:
    if offset > MAX_CLOCK_SKEW:
        return f" No `saml.clock_skew` helps: it is at most {span(MAX_CLOCK_SKEW)}."
    return " Until then, what stands below lets them in."


def _raised(failed: Failed, offset: timedelta) -> Write | None:
    """The skew that would have been enough, in whole half minutes."""
    halves = int(offset / timedelta(seconds=30)) + 1
    skew = timedelta(seconds=30) * halves
    if not failed.tenant.saml.clock_skew < skew <= MAX_CLOCK_SKEW:
        return None
    return failed.write(("saml", "clock_skew"), f"{round(skew / SECOND)}s")


_TIME = (clock_ahead, too_old, clock_behind, contradictory)

CASES: Cases = {
    **dict.fromkeys(
        (
            "issue_instant",
            "conditions_not_before",
            "conditions_not_on_or_after",
            "confirmation_not_on_or_after",
            "authn_instant",
        ),
        _TIME,
    ),
    "session_not_on_or_after": (session_over,),
}
