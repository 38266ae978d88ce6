"""References: in the ids of launches, and as they are read aloud and typed by whoever hears them."""

from __future__ import annotations

import difflib
import re
import secrets

from bridge.errors import BridgeError
from bridge.pages.references import WORDS, vocabulary

LONGEST = 200


def launch_id(reference: str) -> str:
    """A launch's own: after millions of launches two may have one reference."""
    return f"{reference}.{secrets.token_hex(8)}"


def reference_of(launch_id: str) -> str:
    return launch_id.partition(".")[0]


def read_reference(said: str) -> str:
    """The reference of three words in any case, with hyphens, blanks or anything else that is no letter between them.

    Raises `BridgeError` where it can be none.
    """
    words = re.findall(r"[a-z]+", said[:LONGEST].lower())
    if len(words) != WORDS:
        raise BridgeError("a reference is three words, such as amber-falcon-river")
    return "-".join(words)


def misheard(reference: str) -> str:
    """A sentence about the first word that is none of ours, with the one most like it; empty where there is none."""
    for word in reference.split("-"):
        if word not in vocabulary():
            near = difflib.get_close_matches(word, vocabulary(), n=1)
            return f"no reference has the word {word}" + (f": is it {near[0]}?" if near else "")
    return ""
