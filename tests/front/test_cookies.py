from __future__ import annotations

from pathlib import Path

import pytest

from bridge.exchange import Head
from bridge.front.cookies import SESSION, TENANT, Cookies
from bridge.settings.model import Tenant
from tests.support.deployment import Deployment

PLAIN, SECURE = Cookies(secure=False), Cookies(secure=True)


@pytest.fixture(params=["new_tab", "inside"])
def tenant(request: pytest.FixtureRequest, tmp_path: Path) -> Tenant:
    return Deployment(tmp_path).tenant("acme", in_frames=request.param)


def head(dest: str | None = None, cookies: str = "") -> Head:
    fields = [(b"Sec-Fetch-Dest", dest.encode())] if dest else []
    return Head(b"GET", b"/", [*fields, (b"Cookie", cookies.encode())])


@pytest.mark.parametrize(
    ("cookies", "same_site", "attributes"),
    [
        (SECURE, "Lax", "HttpOnly; Secure; SameSite=Lax"),
        (SECURE, "None", "HttpOnly; Secure; SameSite=None"),
        (PLAIN, "Lax", "HttpOnly; SameSite=Lax"),
        (PLAIN, "None", "HttpOnly"),
    ],
)
def test_attributes(cookies: Cookies, same_site: str, attributes: str) -> None:
    prefix = "__Host-" if cookies is SECURE else ""
    written = cookies.write(SESSION, "value", 60, same_site)
    assert written == ("Set-Cookie", f"{prefix}kombo-bridge-session=value; Path=/; Max-Age=60; {attributes}")


@pytest.mark.parametrize("dest", [None, "document", "iframe", "empty", "image"])
@pytest.mark.parametrize("cookies", [PLAIN, SECURE], ids=["http", "https"])
def test_only_a_frame_of_a_tenant_that_wants_it_is_partitioned(
    tenant: Tenant, cookies: Cookies, dest: str | None
) -> None:
    within = cookies.within(head(dest), tenant)
    expected = (cookies, dest, tenant.in_frames) == (SECURE, "iframe", "inside")
    assert within.framed == expected
    for same_site in ("Lax", "None"):
        _, line = within.write(SESSION, "value", 60, same_site)
        if expected:
            assert line.endswith("; HttpOnly; Secure; SameSite=None; Partitioned")
            assert line.startswith("__Host-kombo-bridge-")
        else:
            assert "Partitioned" not in line
            assert line == cookies.write(SESSION, "value", 60, same_site)[1]
    assert ("Partitioned" in within.drop(SESSION)[1]) == expected, "or it would drop another one"


def test_partitioned_ones_are_read_like_the_others() -> None:
    framed = SECURE.write(SESSION, "framed", 60)[1].replace("kombo-bridge-", "kombo-bridge-framed-").partition(";")[0]
    assert SECURE.all(head("iframe", framed)) == {SESSION: "framed"}
    assert SECURE.all(head("script", framed)) == {SESSION: "framed"}
    both = f"__Host-kombo-bridge-session=plain; {framed}; __Host-kombo-bridge-tenant=acme"
    assert SECURE.all(head("iframe", both)) == {SESSION: "framed", TENANT: "acme"}
    assert SECURE.all(head("iframe", f"{both}; {framed}")) == {SESSION: "plain", TENANT: "acme"}


def test_one_that_a_plain_one_replaces_is_dropped() -> None:
    framed = "__Host-kombo-bridge-framed-session=x"
    [(_, line)] = SECURE.drops_framed(head(cookies=framed), SESSION)
    assert line.startswith("__Host-kombo-bridge-framed-session=; Path=/; Max-Age=0;")
    assert "Partitioned" in line
    assert SECURE.drops_framed(head(), SESSION) == []


@pytest.mark.parametrize(
    "line",
    [
        "kombo-bridge-session=x",
        "__host-kombo-bridge-session=x",
        "__Secure-kombo-bridge-session=x",
        "__Host-kombo-bridge-session=x; __Host-kombo-bridge-session=x",
        "__Host-kombo-bridgesession=x",
        "\u00a0__Host-kombo-bridge-session=x",
        "=__Host-kombo-bridge-session=x",
        "__Host-kombo-bridge-framed-framed-session=x",
    ],
)
def test_what_merely_looks_like_ours_does_not_count(line: str) -> None:
    assert SESSION not in SECURE.all(head(cookies=line))
