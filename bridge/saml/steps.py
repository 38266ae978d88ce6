"""The steps in which a response is judged, in order, and how far one response got.

docs/saml.md has what each step wants and where it comes from; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Literal

Standing = Literal["passed", "failed", "not_reached", "not_needed", "not_judged"]
"""What became of a step. `not_needed`: the response has nothing that it is about. `not_judged`: nobody could tell."""


class Step(StrEnum):
    """In the order in which they are taken."""

    READ = "read"
    STATUS = "status"
    SHAPE = "shape"
    PROFILE = "profile"
    SIGNED = "signed"
    SCHEMA = "schema"
    RESPONSE_SIGNATURE = "response_signature"
    RESPONSE_TIME = "response_time"
    RESPONSE_ISSUER = "response_issuer"
    DESTINATION = "destination"
    ANSWERED = "answered"
    DECRYPTION = "decryption"
    ASSERTION_SIGNATURE = "assertion_signature"
    ASSERTION_TIME = "assertion_time"
    ASSERTION_ISSUER = "assertion_issuer"
    SUBJECT = "subject"
    CONDITIONS = "conditions"
    AUDIENCE = "audience"
    AUTHENTICATION = "authentication"
    NAME_ID = "name_id"
    ATTRIBUTES = "attributes"
    REPLAY = "replay"


At = Callable[[Step], None]
"""Hears of each step as it is begun."""


class Progress:
    """How far a response has got. Whoever judges says `at` each step as it is begun."""

    def __init__(self) -> None:
        self._begun: list[Step] = []
        self.failed = False

    def at(self, step: Step) -> None:
        """The step is begun, and so the one before it is passed."""
        self._begun.append(step)

    def again(self) -> None:
        """The response is judged anew, from the first step."""
        self._begun.clear()

    def fail(self) -> None:
        """The step that was begun last did not pass."""
        self.failed = True

    @property
    def last(self) -> Step | None:
        """The step that was begun last."""
        return self._begun[-1] if self._begun else None

    def standings(self) -> Iterator[tuple[Step, Standing]]:
        """Every step with what became of it, in order."""
        order = list(Step)
        reached = order.index(self._begun[-1]) if self._begun else -1
        for index, step in enumerate(order):
            if index > reached:
                yield step, "not_reached"
            elif index == reached and self.failed:
                yield step, "failed"
            else:
                yield step, "passed" if step in self._begun else "not_needed"
