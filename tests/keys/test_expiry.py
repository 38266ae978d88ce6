"""What is said of certificates that come to their end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from bridge.keys.custody import HeldKeys
from bridge.keys.expiry import DAY, Expiry, ExpiryWatch, MetadataEnd, expiries, metadata_ends
from bridge.keys.rollover import HEADERS, SAML
from bridge.saml.keys import certificate_end
from bridge.settings.model import Configuration
from bridge.store.engine import Store, moment_ms
from bridge.store.idps import Kept
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
    assert Expiry("acme", NOW + days * DAY, None).threshold(NOW) == threshold


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
        (Expiry("acme", NOW + 6.5 * DAY, None), "ends on 2026-11-29, in 6 days: it is accepted all the same"),
        (Expiry("acme", NOW - DAY, None), "ended on 2026-11-21: it is accepted"),
        (Expiry(None, NOW + 6.5 * DAY, "ab12"), "ab12 ends on 2026-11-29, in 6 days: run `kombo-bridge keys rotate"),
        (Expiry("acme", NOW - DAY, "ab12"), "run `kombo-bridge keys rotate saml --tenant acme`, give the IdPs"),
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
        assert all((line["event"], line["tenant"]) == ("certificate_end_noticed", "acme") for line in logs)
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


URL = "https://idp.example.com/metadata"


def kept(fetched: datetime, **changes: str) -> Kept:
    row = Kept("acme", URL, "idp", None, moment_ms(fetched), moment_ms(fetched), 0, None, None, 0)
    return replace(row, **changes)


def with_validity(configuration: Configuration, end: datetime, metadata: str | None = None) -> Configuration:
    """Acme alone, with metadata that ends then; from a URL if one is given."""
    acme = configuration.tenants["acme"]
    if metadata:
        acme = acme.model_copy(update={"saml": acme.saml.model_copy(update={"metadata": metadata})})
    return replace(configuration, tenants={"acme": acme}, valid_until={"acme": end})


@pytest.mark.parametrize(
    ("days", "threshold"), [(31, None), (30, 30), (8, 30), (7, 7), (0.5, 7), (0, 0), (-0.01, 0), (-4000, 0)]
)
def test_a_file_ends_as_certificates_do(days: float, threshold: int | None) -> None:
    assert MetadataEnd("acme", NOW + days * DAY).threshold(NOW) == threshold


@pytest.mark.parametrize(
    ("valid", "left", "threshold"),
    [
        (14, 13, None),
        (14, 3.6, None),
        (14, 3.4, 7),
        (14, 0, 0),
        (14, -1, 0),
        (0.04, 0.02, None),  # an hour: fetched anew every half
        (0.04, 0.009, 7),
        (365, 90, None),
        (365, 31, None),
        (365, 30, 30),
    ],
)
def test_a_document_from_a_url_ends_where_no_newer_one_comes(valid: float, left: float, threshold: int | None) -> None:
    end = NOW + left * DAY
    assert MetadataEnd("acme", end, kept(end - valid * DAY)).threshold(NOW) == threshold


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (None, "in 3 days, by its validUntil; then nobody can log in: ask the IdP's administrators for the newer file"),
        (kept(NOW), f"{URL} still has nothing newer"),
        (kept(NOW, failed="no answer"), f"{URL} could not be fetched lately: no answer"),
        (kept(NOW, held="another"), "newer metadata is held, see `kombo-bridge metadata accept acme`"),
    ],
)
def test_what_to_do_about_metadata_that_ends(row: Kept | None, said: str) -> None:
    assert said in MetadataEnd("acme", NOW + 3.5 * DAY, row).warning(NOW)
    assert "ended on 2026-11-21, by its validUntil; nobody can" in MetadataEnd("acme", NOW - DAY, row).warning(NOW)


def test_the_end_of_a_url_that_the_state_does_not_know_is_not_judged(configuration: Configuration) -> None:
    close = with_validity(configuration, NOW + DAY, URL)
    assert list(metadata_ends(close, [])) == []
    assert list(metadata_ends(close, [kept(NOW)])) == [MetadataEnd("acme", NOW + DAY, kept(NOW))]
    assert list(metadata_ends(with_validity(configuration, NOW + DAY), [])) == [MetadataEnd("acme", NOW + DAY)]


async def test_metadata_is_logged_as_certificates_are(store: Store, configuration: Configuration) -> None:
    close = with_validity(configuration, NOW + 7.8 * DAY)
    watch = ExpiryWatch(store, HeldKeys(), lambda: close)
    with capture_logs() as logs:
        for hours in (0, 11, 20, 21):
            await watch.look(NOW + timedelta(hours=hours))
    found = [(line["tenant"], line["threshold"]) for line in logs if line["event"] == "metadata_end_noticed"]
    assert found == [("acme", 30), ("acme", 7)]
