"""RelayState, targets and cookies: only what we gave out is believed, and nothing leads away from our origin."""

from __future__ import annotations

import contextlib
from urllib.parse import urljoin, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Refusal
from bridge.exchange import Head
from bridge.front.cookies import Cookies
from bridge.front.targets import next_target, relay_target
from bridge.proxy.cookies import cookie_line, own_cookies, without_own
from bridge.session.tokens import Tokens

from .mutations import damaged

SECRETS = ["a secret of the fuzzer, long enough to sign", "and the one that was before it, long enough"]
RELAY, LOGIN = Tokens(SECRETS, "relay state"), Tokens(SECRETS, "login")
STATE = RELAY.sign("Vx3nQ0b1r5mEJ2b8k1qCZQ")
CONTENT = {"tenant": "acme", "request_id": "_r", "next": "/courses/x?y=1", "token": "Vx3nQ0b1r5mEJ2b8k1qCZQ"}
COOKIE = LOGIN.dump(CONTENT)
A_DAY = 24 * 3600
ORIGIN = "https://learn.example.com"
TARGETS = [
    b"/courses/x?y=1#part", b"https://learn.example.com/courses/x", b"//evil.example/", b"/\\evil.example",
    b"https://learn.example.com.evil.example/", b"/%2f/evil.example", b"https://learn.example.com@evil.example/",
    b"/_bridge/logout", b"/x/..//evil.example", b"\t//evil.example", b"https:evil.example", b"/;@evil.example",
]  # fmt: skip  # read as a list of odd things, not one a line
LINES = [
    f"__Host-kombo-bridge-session={STATE}; theme=dark; __Host-kombo-bridge-login-Vx3nQ0b1={COOKIE}".encode(),
    f'a="b; c"; kombo-bridge-session={STATE}; =kombo-bridge-session=x'.encode(),
]


@given(st.data())
def test_only_our_relay_state_is_believed(data: st.DataObject) -> None:
    value = data.draw(damaged([STATE.encode(), COOKIE.encode()])).decode("latin-1")
    assert RELAY.unsign(value) in (None, "Vx3nQ0b1r5mEJ2b8k1qCZQ")
    assert (RELAY.unsign(value) is not None) == (value == STATE)


@given(st.data())
def test_only_our_login_is_believed(data: st.DataObject) -> None:
    value = data.draw(damaged([COOKIE.encode(), STATE.encode()])).decode("latin-1")
    assert LOGIN.load(value, A_DAY) == (CONTENT if value == COOKIE else None)


@given(st.data())
def test_no_target_leaves_our_origin(data: st.DataObject) -> None:
    value = data.draw(damaged(TARGETS) | st.binary(max_size=60)).decode("latin-1")
    targets = [relay_target(value, ORIGIN)]
    with contextlib.suppress(Refusal):
        targets.append(next_target(value))
    for target in targets:
        there = urlsplit(urljoin(f"{ORIGIN}/_bridge/saml/acme/acs", target))
        assert (there.scheme, there.netloc) == ("https", "learn.example.com")
        assert target.isascii() and target.isprintable() and "\\" not in target and not target.startswith("//")


@given(st.data())
def test_our_cookies_are_found_once_and_never_forwarded(data: st.DataObject) -> None:
    line = data.draw(damaged(LINES))
    head = Head(b"GET", b"/", [(b"Cookie", line)])
    for name, value in Cookies(secure=True).all(head).items():
        assert name.startswith("kombo-bridge")
        assert value.encode("latin-1") in line
    rest = Head(b"GET", b"/", [(b"Cookie", without_own(line))])
    assert not own_cookies(cookie_line(rest))
