"""What is said of certificates that come to their end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from bridge.keys.custody import HeldKeys
from bridge.keys.expiry import DAY, Expiry, ExpiryWatch, expiries
from bridge.keys.rollover import HEADERS, SAML
from bridge.saml.keys import certificate_end
from bridge.settings.model import Configuration
from bridge.store.engine import Store
from tests.support.certificates import certificate
from tests.support.keys import stored

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def with_certificates(configuration: Configuration, slug: str, *days: float) -> Configuration:
    """The tenant's IdP with certificates that end so many days from now."""
    tenant = configuration.tenants[slug]
    provider = replace(tenant.provider, certificates=tuple(certificate(NOW + left * DAY) for left in days))
    changed = tenant.model_copy(update={"provider": provider})
    return replace(configuration, tenants={slug: changed})


@pytest.mark.parametrize(
    ("days", "threshold"),
    [(31, None), (30.01, None), (30, 30), (8, 30), (7, 7), (0.5, 7), (0, 0), (-0.01, 0), (-4000, 0)],
)
def test_the_thresholds(days: float, threshold: int | None) -> None:
    assert Expiry("acme", None, NOW + days * DAY).threshold(NOW) == threshold


def test_of_an_idps_certificates_the_one_that_ends_last_counts(configuration: Configuration) -> None:
    [found] = expiries(with_certificates(configuration, "acme", -3, 20, 5), [])
    assert (found.tenant, found.key, found.threshold(NOW)) == ("acme", None, 30)


def test_of_our_own_only_those_in_use_count(configuration: Configuration) -> None:
    keys = [stored(SAML, 1), stored(SAML, 2, scope="acme"), stored(SAML, 3, scope="gone"), stored(HEADERS, 4)]
    found = [expiry for expiry in expiries(configuration, keys) if expiry.key]
    assert [(expiry.tenant, expiry.key) for expiry in found] == [(None, keys[0].id)]
    assert found[0].end == certificate_end(keys[0].certificate or "")


@pytest.mark.parametrize(
    ("expiry", "said"),
    [
        (Expiry("acme", None, NOW + 6.5 * DAY), "ends on 2026-11-29, in 6 days: it is accepted all the same"),
        (Expiry("acme", None, NOW - DAY), "ended on 2026-11-21: it is accepted"),
        (Expiry(None, "ab12", NOW + 6.5 * DAY), "ab12 ends on 2026-11-29, in 6 days: run `kombo-bridge keys rotate"),
        (Expiry("acme", "ab12", NOW - DAY), "run `kombo-bridge keys rotate saml --tenant acme`, give the IdPs"),
    ],
)
def test_the_warning_says_when_and_what_to_do(expiry: Expiry, said: str) -> None:
    assert said in expiry.warning(NOW)


async def test_each_is_logged_once_a_threshold_and_day_by_all_processes(
    store: Store, configuration: Configuration
) -> None:
    close = with_certificates(configuration, "acme", 7.8)
    watches = [ExpiryWatch(store, HeldKeys(), lambda: close) for _ in range(2)]

    async def said(now: datetime) -> list[int]:
        with capture_logs() as logs:
            for watch in watches:
                await watch.look(now)
        assert all((line["event"], line["tenant"]) == ("certificate_ends", "acme") for line in logs)
        return [line["threshold"] for line in logs]

    assert await said(NOW) == [30]
    assert await said(NOW + timedelta(hours=11)) == []
    assert await said(NOW + timedelta(hours=13)) == [30]  # another day
    assert await said(NOW + timedelta(hours=20)) == [7]  # another threshold
    assert await said(NOW + timedelta(hours=21)) == []
    assert await said(NOW + timedelta(days=8)) == [0]
    assert await said(NOW - timedelta(days=30)) == []


async def test_nothing_close_writes_nothing(store: Store, configuration: Configuration) -> None:
    with capture_logs() as logs:
        await ExpiryWatch(store, HeldKeys([stored(SAML, 1)]), lambda: configuration).look(NOW)
    assert logs == []
    assert await store.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM used").scalar_one()) == 0
