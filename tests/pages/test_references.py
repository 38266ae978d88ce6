from __future__ import annotations

import re
from itertools import combinations

from bridge.pages import reference
from bridge.pages.references import vocabulary


def test_is_three_words_of_the_list() -> None:
    made = [reference() for _ in range(200)]
    assert all(set(one.split("-")) <= set(vocabulary()) and one.count("-") == 2 for one in made)
    assert len(set(made)) == 200


def test_the_list_is_long_and_its_words_are_short() -> None:
    words = vocabulary()
    assert len(words) >= 512
    assert len(set(words)) == len(words)
    assert list(words) == sorted(words)
    assert all(re.fullmatch(r"[a-z]{4,8}", word) for word in words)


def test_no_word_is_one_slip_from_another() -> None:
    """A letter lost, added or exchanged on the way from eye to ear must not make another word of the list."""
    words = vocabulary()
    exchanged = [word[:place] + "?" + word[place + 1 :] for word in words for place in range(len(word))]
    assert len(set(exchanged)) == len(exchanged)
    shortened = {word[:place] + word[place + 1 :] for word in words for place in range(len(word))}
    assert shortened.isdisjoint(words)
    assert not [pair for pair in combinations(words, 2) if pair[1].startswith(pair[0])]
