"""Which live questions were put to Kombo within the last minutes, by whichever process."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, or_, select, update

from bridge.store import tables
from bridge.store.engine import insert_new

ANSWERED_MS = 60_000
FAILED_MS = 15_000
"""Longer than a question may take, so that one that is under way elsewhere is not asked beside it."""
FORGET_MS = 10 * 60_000
MANY = 100


@dataclass(frozen=True, slots=True)
class Question:
    """When it was asked; `answered_at` is None where it is under way, or came to nothing. Milliseconds."""

    asked_at: int
    answered_at: int | None

    def is_recent(self, moment: int) -> bool:
        """Whether it is not to be asked again yet. One from the future, left by a clock that ran ahead, is not."""
        return 0 <= moment - self.asked_at < (FAILED_MS if self.answered_at is None else ANSWERED_MS)


def last(connection: Connection, digest: str) -> Question | None:
    """The question as it was last put."""
    question = tables.questions.c
    row = connection.execute(
        select(question.asked_at, question.answered_at).where(question.digest == digest)
    ).one_or_none()
    return Question(row.asked_at, row.answered_at) if row else None


def claim(connection: Connection, digest: str, moment: int) -> bool:
    """Take it on oneself to ask now; False where somebody has done so lately."""
    question = tables.questions.c
    claimed = insert_new(connection, tables.questions, {"digest": digest, "asked_at": moment, "answered_at": None})
    if not claimed:
        known = last(connection, digest)
        if known is None or known.is_recent(moment):
            return False
        same = (question.digest == digest) & (question.asked_at == known.asked_at)
        again = update(tables.questions).where(same).values(asked_at=moment, answered_at=None)
        claimed = connection.execute(again).rowcount == 1
    _forget(connection, moment)
    return claimed


def _forget(connection: Connection, moment: int) -> None:
    """Drop what is too old to matter, and what a clock that ran ahead has left; none that another one works on."""
    question = tables.questions.c
    past = or_(question.asked_at < moment - FORGET_MS, question.asked_at > moment + FORGET_MS)
    some = select(question.digest).where(past).limit(MANY).with_for_update(skip_locked=True)
    connection.execute(delete(tables.questions).where(question.digest.in_(some)))


def answered(connection: Connection, digest: str, asked_at: int, moment: int) -> None:
    """Note that the answer to what was asked at `asked_at` is in the directory.

    One that comes late, after somebody else has begun to ask anew, is not the answer that they wait for: what Kombo
    showed before then would count as absent.
    """
    question = tables.questions.c
    same = (question.digest == digest) & (question.asked_at == asked_at)
    connection.execute(update(tables.questions).where(same).values(answered_at=moment))
