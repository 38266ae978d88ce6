"""What stands between a link and the IdP's page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from starlette.responses import Response

from bridge.exchange import Head
from bridge.front.cookies import Cookies
from bridge.front.desk import Desk
from bridge.front.doorway import Doorway
from bridge.front.logins import Logins
from bridge.front.rules import Rules
from bridge.launches.launches import Launches
from bridge.pages import Looks
from bridge.session.sessions import Sessions
from bridge.settings.model import Configuration
from bridge.store.engine import Store
from bridge.store.sealing import Seal
from tests.support.deployment import SECRET, Deployment
from tests.support.keys import held_keys

FRAMES = ["iframe", "frame", "embed"]
ACCEPTED = "text/html,application/xhtml+xml,*/*;q=0.8"


class House:
    """A doorway with what stands around it, for one deployment."""

    def __init__(self, configuration: Configuration, store: Store) -> None:
        secure = configuration.service.public_url.startswith("https:")
        cookies, pages, secrets = Cookies(secure=secure), Looks(), [SECRET]
        sessions = Sessions(store, secrets, lambda: configuration)
        launches = Launches(store, Seal(secrets), lambda: configuration)
        desk = Desk(sessions, Logins(secrets, cookies, pages, held_keys(), launches), cookies, pages)
        self.rules = Rules(configuration, cookies)
        self.doorway = Doorway(desk, lambda: self.rules)
        self.tenants = configuration.tenants

    def begin(self, target: str, next: str, tenant: str = "acme", dest: str = "document", **more: Any) -> Response:
        return self.doorway.begin(head(target, dest), self.tenants[tenant], next, **more)


@pytest.fixture
def open_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    store = Store(f"sqlite:///{tmp_path}/bridge.db")

    def opened(in_frames: str = "new_tab", hosts: tuple[str, ...] = (), **service: Any) -> House:
        deployment = Deployment(tmp_path, public_url=service.pop("public_url", "https://learn.test"), service=service)
        deployment.tenants["acme"] |= {"in_frames": in_frames, "hosts": list(hosts)}
        return House(deployment.load(), store)

    yield opened
    store.close()


def head(target: str, dest: str = "document", method: bytes = b"GET") -> Head:
    fields = {"Host": "learn.test", "Accept": ACCEPTED, "Sec-Fetch-Dest": dest}
    return Head(method, target.encode(), [(name.encode(), value.encode()) for name, value in fields.items()])


def shows(response: Response) -> str:
    """Which page it is, by what only that one has, and where its link leads."""
    text = bytes(response.body).decode()
    if response.status_code == 303:
        return f"redirect to {response.headers['location']}"
    link = unescape(text.partition('class="button" href="')[2].partition('"')[0])
    if 'target="_blank"' in text:
        return f"break out to {link}"
    return f"keep fragment to {link}" if "searchParams" in text else "another page"


def test_a_window_is_sent_to_the_idp(open_house: Callable[..., House]) -> None:
    response = open_house().begin("/courses/x?tenant=acme", "/courses/x?tenant=acme")
    assert shows(response).startswith("redirect to http://localhost:7000/acme/sso?SAMLRequest=")
    assert "kombo-bridge-login-" in response.headers["set-cookie"]


@pytest.mark.parametrize("dest", FRAMES)
def test_a_frame_is_offered_the_same_link_for_a_tab_of_its_own(open_house: Callable[..., House], dest: str) -> None:
    link = "/courses/x?tenant=acme&a=b"
    response = open_house().begin(link, link, dest=dest)
    assert shows(response) == f"break out to {link}", "it names the tenant as it did"
    assert "set-cookie" not in response.headers, "no login has begun"
    assert "frame-ancestors" not in response.headers["content-security-policy"]
    assert "x-frame-options" not in response.headers
    assert response.headers["cache-control"] == "no-store"
    page_load = dest == "iframe"
    assert response.status_code == (200 if page_load else 401)
    assert response.headers.get("bridge-error") == (None if page_load else "login_required")


def test_a_link_that_does_not_survive_whole_names_the_tenant_by_its_login(open_house: Callable[..., House]) -> None:
    house = open_house()
    long = house.begin("/courses/x?tenant=acme&" + "q" * 3000, "/courses/x", dest="iframe")
    assert shows(long) == "break out to https://learn.test/_bridge/saml/acme/login?next=%2Fcourses%2Fx"
    endpoint = house.begin("/_bridge/saml/acme/login?next=/x", "/x", dest="iframe", fragment_kept=True)
    assert shows(endpoint) == "break out to https://learn.test/_bridge/saml/acme/login?next=%2Fx"


@pytest.mark.parametrize(
    ("public_url", "in_frames", "inside"),
    [
        ("https://learn.test", "inside", True),
        ("https://learn.test", "new_tab", False),
        ("http://127.0.0.1:8080", "inside", False),
        ("http://127.0.0.1:8080", "new_tab", False),
    ],
)
def test_a_tenant_may_sign_in_within_frames_on_https(
    open_house: Callable[..., House], public_url: str, in_frames: str, inside: bool
) -> None:
    response = open_house(in_frames, public_url=public_url).begin("/x?tenant=acme", "/x?tenant=acme", dest="iframe")
    assert shows(response).startswith("redirect to http://localhost" if inside else "break out to /x?tenant=acme")
    assert ("Partitioned" in response.headers.get("set-cookie", "")) is inside


@pytest.mark.parametrize(("in_frames", "dest"), [("new_tab", "document"), ("inside", "document"), ("inside", "iframe")])
def test_the_fragment_is_asked_for_before_a_login_and_once(
    open_house: Callable[..., House], in_frames: str, dest: str
) -> None:
    house = open_house(in_frames, keep_fragment=True)
    link = "/courses/x?tenant=acme"
    asked = house.begin(link, link, dest=dest)
    login = f"https://learn.test/_bridge/saml/acme/login?{urlencode({'next': link})}"
    assert shows(asked) == f"keep fragment to {login}"
    assert "set-cookie" not in asked.headers
    at_login = urlsplit(login)._replace(scheme="", netloc="").geturl()
    [next] = parse_qs(urlsplit(login).query)["next"]
    begun = house.begin(at_login, f"{next}#slide-3", dest=dest, fragment_kept=True)
    assert shows(begun).startswith("redirect to http://localhost")


def test_the_fragment_goes_to_the_origin_that_has_the_acs(open_house: Callable[..., House]) -> None:
    house = open_house(keep_fragment=True, hosts=("acme.learn.test", "other.learn.test"))
    assert (
        shows(house.begin("/x", "/x")) == "keep fragment to https://acme.learn.test/_bridge/saml/acme/login?next=%2Fx"
    )


def test_a_frame_comes_before_the_fragment_and_takes_it_out_by_script(open_house: Callable[..., House]) -> None:
    response = open_house(keep_fragment=True).begin("/x?tenant=acme", "/x?tenant=acme", dest="iframe")
    assert shows(response) == "break out to /x?tenant=acme"
    assert b".hash = location.hash" in response.body
    assert "script-src 'sha256-" in response.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("keep_fragment", "dest", "shown"),
    [
        (False, "document", "redirect to /_bridge/organizations?next=%2Fx%3Fa%3Db"),
        (True, "document", "keep fragment to /_bridge/organizations?next=%2Fx%3Fa%3Db"),
        *((keep, dest, "break out to /x?a=b") for keep in (False, True) for dest in FRAMES),
    ],
)
def test_where_nothing_names_the_tenant(
    open_house: Callable[..., House], keep_fragment: bool, dest: str, shown: str
) -> None:
    house = open_house(keep_fragment=keep_fragment)
    assert shows(house.doorway.ask(head("/x?a=b", dest), "/x?a=b")) == shown
