"""How long the carrier waits: between tries, and before a call whose outcome is unknown is made again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """All in seconds but the counts.

    `in_flight`: Kombo allows 30 actions at a time for an integration, fewer for fragile tools; reads are exempt.
    `together` bounds those of all integrations in one process: they share its connections with live questions.

    A call without an answer may still be under way, in Kombo or in the LMS. So after a look-up that does not show it,
    it is made again only `complete_settles` (or `enroll_settles`) after it was begun, and is looked up every
    `look_again` until then and once more just before. Completing a progression again writes the same values over
    themselves, so little is at stake; enrolling again is undocumented, so more patience is due. Where Kombo shows
    writes only after its next sync, hours later, no wait of this kind could tell: then the call is made again, since
    losing a completion is worse. That is a guess at what LMSs do: most know one enrolment of a person in a revision.

    `latecomers` is how often the directory is asked for what had nothing to write when it was reported.

    `tries` bounds how often an answer that nobody here knows is believed to pass: about a day.
    """

    tick: float = 0.5
    lease: float = 15.0
    in_flight: int = 10
    together: int = 60
    first_pause: float = 1.0
    longest_pause: float = 60.0
    longest_rest: float = 300.0
    complete_settles: float = 15.0
    enroll_settles: float = 60.0
    look_again: float = 10.0
    latecomers: float = 300.0
    tries: int = 296

    def pause(self, troubles: int, asked: float | None) -> float:
        """Of a whole integration after that many troubles in a row (1 or more), or as long as Kombo `asked` for."""
        return max(self._growing(troubles, self.longest_pause), asked or 0.0)

    def rest(self, attempts: int, asked: float | None = None) -> float:
        """Of one entry after that many attempts. It outgrows `pause`, so that one entry that Kombo cannot digest does
        not keep the others of its integration waiting.
        """
        return min(max(self._growing(attempts, self.longest_rest), asked or 0.0), self.longest_rest)

    def settles(self, sending: str) -> float:
        """After which a call of that kind is over, with or without an answer."""
        return self.enroll_settles if sending == "enroll" else self.complete_settles

    def _growing(self, times: int, longest: float) -> float:
        """Exponential, with up to a tenth more, so that nodes and integrations do not come back in step."""
        grown: float = self.first_pause * 2 ** min(max(times - 1, 0), 20)
        return min(grown, longest) * random.uniform(1.0, 1.1)  # noqa: S311  # no secret
