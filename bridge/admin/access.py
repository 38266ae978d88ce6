"""Who may look at the admin page: whoever sends `internal_token`, or has shown it once in this browser.

The cookie is signed under `secrets` and the token together, so that it proves that somebody had the token, gives none
of it away, and ends when the token is changed. Nothing is kept of it here: signing out takes it from the browser.
"""

from __future__ import annotations

import hashlib
import re
import secrets as random
from collections.abc import Sequence

import structlog
from starlette.requests import Request

from bridge.errors import Code, Refusal
from bridge.exchange import Head
from bridge.front.attempts import Attempts
from bridge.front.bearer import bearer
from bridge.front.requests import OWN_FORM_BYTES, from_own_pages, parse_form, read_body
from bridge.proxy.cookies import cookie_line, own_cookies
from bridge.session.tokens import Tokens

PATH = "/admin"
COOKIE = "kombo-bridge-admin"
LIFE_SECONDS = 12 * 3600
FORM = b"application/x-www-form-urlencoded"
_NEXT = re.compile(r"/admin(?:[/?][\w./?&=%+:~-]{0,500})?", re.ASCII)

log = structlog.get_logger()


class Access:
    """`token` is the `internal_token`; `secrets` are the deployment's."""

    def __init__(self, token: str, secrets: Sequence[str], attempts: Attempts) -> None:
        self._attempts = attempts
        self._cookies = Tokens(secrets, f"admin page of {hashlib.sha256(token.encode()).hexdigest()}")

    async def admit(self, head: Head) -> None:
        """Raises `Refusal`: 401 without the token or a sign-in, 429 after too many wrong ones.

        A token decides where there is one, whatever cookie comes with it. Other credentials are those of a proxy
        between.
        """
        given = bearer(head)
        if given is not None:
            await self._attempts.judge(given, head.peer)
        elif not self._signed_in(head):
            raise Refusal(Code.LOGIN_REQUIRED, "sign in, or send the internal_token as `Authorization: Bearer …`")

    def _signed_in(self, head: Head) -> bool:
        value = own_cookies(cookie_line(head)).get(COOKIE)
        return value is not None and self._cookies.unsign(value, max_age=LIFE_SECONDS) is not None

    async def sign_in(self, request: Request, head: Head) -> tuple[str, tuple[str, str]]:
        """Where to go on to, and the Set-Cookie header. Raises `Refusal`: as `admit`; 403 for another site's form."""
        origin = _own_origin(head)
        fields = await _form(request, head)
        await self._attempts.judge(fields.get("token", "").strip().encode(), head.peer)
        log.info("admin_signed_in", peer=head.peer)
        cookie = self._cookies.sign(random.token_hex(8))
        return next_path(fields.get("next", "")), _set_cookie(cookie, LIFE_SECONDS, origin)

    def sign_out(self, head: Head) -> tuple[str, str]:
        """The Set-Cookie header. Raises `Refusal` (403) for another site's form."""
        return _set_cookie("", 0, _own_origin(head))


def next_path(text: str) -> str:
    """Where to lead somebody who has signed in: a path of the admin page; for anything else, its first page."""
    dotted = text.lower().replace("%2e", ".")  # which browsers do as well
    return text if _NEXT.fullmatch(text) and "//" not in text and "/." not in dotted else PATH


def _own_origin(head: Head) -> str:
    """The origin of the page that sent a form, which must be one of ours.

    Without TLS of its own the listener cannot tell on which scheme a browser has reached it; the browser says so.
    """
    host = (head.get(b"host") or b"").decode("latin-1")
    said = (head.get(b"origin") or b"").decode("latin-1")
    if said not in (f"http://{host}", f"https://{host}") or not from_own_pages(head, said):
        reason = "this form did not come from the admin page, or a proxy between has changed its Host"
        raise Refusal(Code.REQUEST_MALFORMED, reason, status=403)
    return said


async def _form(request: Request, head: Head) -> dict[str, str]:
    if (head.get(b"content-type") or b"").partition(b";")[0].strip().lower() != FORM:
        raise Refusal(Code.REQUEST_MALFORMED, "the body is not a form")
    fields = parse_form(await read_body(request, OWN_FORM_BYTES, Code.REQUEST_MALFORMED), Code.REQUEST_MALFORMED)
    if len(dict(fields)) != len(fields):
        raise Refusal(Code.REQUEST_MALFORMED, "the form has a field twice")
    return dict(fields)


def _set_cookie(value: str, max_age: int, origin: str) -> tuple[str, str]:
    secure = "; Secure" if origin.startswith("https:") else ""
    return "Set-Cookie", f"{COOKIE}={value}; Path={PATH}; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}"
