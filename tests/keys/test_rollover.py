"""The rollover rule, by the clock."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bridge.errors import BridgeError
from bridge.keys.rollover import (
    AT_ONCE_MS,
    HEADERS,
    NEVER,
    SAML,
    check_retirement,
    next_step,
    promotion,
    signer,
    state,
)
from bridge.store.keys import KeyRow, Kind

START = 1_700_000_000_000
MINUTE = 60_000


def keys(purpose: str, *minutes: float) -> list[KeyRow]:
    """Keys named by their order, made at these minutes."""
    return [KeyRow(str(number), Kind(purpose), START + int(at * MINUTE)) for number, at in enumerate(minutes)]


def at(minutes: float) -> int:
    return START + int(minutes * MINUTE)


@pytest.mark.parametrize(
    ("made", "minute", "states"),
    [
        ([0], 0, "signs"),
        ([0, 10], 10, "signs next"),
        ([0, 10], 15, "signs next"),  # readers may keep the former JWK set until now, and a little longer
        ([0, 10], 15.99, "signs next"),
        ([0, 10], 16, "verifies signs"),
        ([0, 10, 12], 16, "verifies signs next"),
        ([0, 10, 12], 18, "verifies verifies signs"),
        ([0, 10], -5, "signs next"),  # a clock that was put back
    ],
)
def test_a_header_key_signs_once_every_reader_knows_it(made: list[float], minute: float, states: str) -> None:
    there = keys(HEADERS, *made)
    assert [state(there, key, at(minute)).value for key in there] == states.split()
    assert state(there, signer(there, at(minute)), at(minute)) == "signs"


@pytest.mark.parametrize(
    ("promoted", "minute", "states", "steps"),
    [
        ([None, NEVER], 100, "signs held", "- promote"),
        ([None, 50], 49, "signs next", "retire sign"),
        ([None, 50], 50, "verifies signs", "retire -"),
        ([60, 50], 60, "signs verifies", "- retire"),  # a former one again
        ([None, 5], 5, "verifies signs", "retire -"),  # sooner than it is known
        ([None, 5, None], 18, "verifies verifies signs", "retire retire -"),
        ([None, 5, NEVER], 18, "verifies signs held", "retire - promote"),
        ([None, 90, None], 50, "verifies next signs", "retire sign retire"),  # the last two change places
        ([NEVER, NEVER], 50, "signs held", "- promote"),  # somebody has to
    ],
)
def test_a_promoted_key_takes_over_when_somebody_says_so(
    promoted: list[int | None], minute: float, states: str, steps: str
) -> None:
    there = [
        replace(key, signs_from=moment if moment in (None, NEVER) else at(moment))
        for key, moment in zip(keys(HEADERS, *range(len(promoted))), promoted, strict=True)
    ]
    assert [state(there, key, at(minute)).value for key in there] == states.split()
    found = [next_step(there, key, at(minute)) for key in there]
    assert [step.what if step else "-" for step in found] == steps.split()


@pytest.mark.parametrize(
    ("minute", "at_once", "refusal"),
    [(10, False, "not every platform can know 1 before 2023-11-14 22:29:20 UTC"), (10, True, None), (16, False, None)],
)
def test_nobody_signs_too_early_without_saying_so(minute: float, at_once: bool, refusal: str | None) -> None:
    there = [keys(HEADERS, 0)[0], replace(keys(HEADERS, 0, 10)[1], signs_from=NEVER)]
    if refusal is None:
        assert promotion(there, there[1], at(minute), at_once=at_once) == at(minute) + AT_ONCE_MS
        return
    with pytest.raises(BridgeError, match=refusal):
        promotion(there, there[1], at(minute), at_once=at_once)


def test_the_key_that_signs_never_goes_however_urgent() -> None:
    there = keys(HEADERS, 0, 10)
    for minute in (12, 100):
        with pytest.raises(BridgeError, match="signs"):
            check_retirement(there, signer(there, at(minute)), at(minute), at_once=True)
    check_retirement(there, there[0], at(16), at_once=True)


@pytest.mark.parametrize("minute", [10, 16, 100_000])
def test_the_oldest_saml_key_signs_until_it_is_retired(minute: float) -> None:
    there = keys(SAML, 0, 10)
    assert [state(there, key, at(minute)).value for key in there] == ["signs", "decrypts"]
    assert signer(there[1:], at(minute)).id == "1"


@pytest.mark.parametrize(
    ("purpose", "made", "key", "minute", "refusal"),
    [
        (HEADERS, [0], 0, 100, "the last key for headers; make another with `keys rotate` first"),
        (SAML, [0], 0, 100, "the last key for saml; make another"),
        (HEADERS, [0, 10], 0, 12, "signs until 2023-11-14 22:29:20 UTC.* retire it after 2023-11-14 22:31:50 UTC"),
        (HEADERS, [0, 10], 0, 18.49, "retire it after 2023-11-14 22:31:50 UTC"),
        (HEADERS, [0, 10], 0, 18.5, None),
        (HEADERS, [0, 10], 1, 12, None),  # it has never signed
        (HEADERS, [0, 10], 1, 15.74, None),
        (HEADERS, [0, 10], 1, 15.76, "1 signs from 2023-11-14 22:29:20 UTC on"),  # others would not know in time
        (HEADERS, [0, 10], 1, 100, "1 signs; make another with `keys rotate headers`"),
        (HEADERS, [0, 10, 98], 1, 100, "1 signs until"),
        (HEADERS, [0, 10, 98], 0, 100, None),
        (HEADERS, [0, 10, 98], 2, 100, None),
        (SAML, [0, 10], 0, 10, None),
        (SAML, [0, 10], 1, 10, None),
    ],
)
def test_no_key_goes_that_somebody_needs(
    purpose: str, made: list[float], key: int, minute: float, refusal: str | None
) -> None:
    there = keys(purpose, *made)
    if refusal is None:
        check_retirement(there, there[key], at(minute))
        return
    with pytest.raises(BridgeError) as caught:
        check_retirement(there, there[key], at(minute))
    assert re.search(refusal, str(caught.value))


def test_what_is_left_after_a_retirement_signs_as_before() -> None:
    there = keys(HEADERS, 0, 10)
    after = at(18.5)
    check_retirement(there, there[0], after)
    assert signer(there, after) == signer(there[1:], after)
