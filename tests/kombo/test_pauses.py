from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from bridge.kombo.pauses import Patience, retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("301", 300.0),
        ("9" * 5000, 300.0),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("soon", None),
        ("٣", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 -0000", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300.0),
        ("Fri, 99 Foo 2026 00:00:00 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 +9999", None),
        ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 +99999999999999999999", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_retry_after_as_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    assert retry_after(soon) == pytest.approx(20, abs=2)


def test_pauses_grow_up_to_a_limit_with_full_jitter() -> None:
    patience = Patience(backoff=1.0, longest_pause=8.0)
    for attempt, longest in enumerate([1, 2, 4, 8, 8, 8]):
        pauses = [patience.pause(attempt, None) for _ in range(300)]
        assert 0 <= min(pauses) < longest * 0.2
        assert longest * 0.8 < max(pauses) <= longest


def test_a_pause_is_never_shorter_than_what_was_asked() -> None:
    assert all(3 <= Patience().pause(0, 3.0) <= 3.5 for _ in range(50))
