"""The three words by which a learner on the telephone and an operator at the logs mean the same launch."""

from __future__ import annotations

import secrets
from functools import cache
from pathlib import Path

WORDS = 3


def reference() -> str:
    """A new reference such as `amber-falcon-river`.

    It is a name, not a secret: about 27 bits, enough that those an operator still keeps do not collide.
    """
    return "-".join(secrets.choice(vocabulary()) for _ in range(WORDS))


@cache
def vocabulary() -> tuple[str, ...]:
    """The words of `words.txt`: short, and no two that sound or look alike."""
    return tuple(Path(__file__).with_name("words.txt").read_text("ascii").split())
