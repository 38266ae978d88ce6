"""What kind of request this is: who is to be answered with a page, and who with a problem document."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from starlette.requests import Request

from bridge.errors import Code, Refusal
from bridge.exchange import Head

BODY_SECONDS = 30
MAX_FIELDS = 8
OWN_FORM_BYTES = 8_192
PAGES = (None, b"document", b"iframe")
FRAMES = (b"iframe", b"frame", b"embed")
FORMS = (b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain")


def head_of(request: Request) -> Head:
    """The head of a request that has already been handed to Starlette."""
    query = request.scope["query_string"]
    return Head(
        method=request.method.encode("ascii"),
        target=request.scope["raw_path"] + (b"?" + query if query else b""),
        headers=list(request.scope["headers"]),
        peer=request.client.host if request.client else "",
    )


async def read_body(request: Request, limit: int, code: Code) -> bytes:
    """The body of a request. Raises `Refusal`: 413 above `limit` bytes, 408 where it has not come within 30 seconds."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise Refusal(code, f"the body is larger than {limit} bytes", status=413)
    except TimeoutError as error:
        raise Refusal(code, f"the body did not come within {BODY_SECONDS} s", status=408) from error
    return bytes(body)


def parse_form(encoded: bytes, code: Code) -> list[tuple[str, str]]:
    """The fields of a form or a query, at most 8, in order. Raises `Refusal` with the code."""
    try:
        return parse_qsl(encoded.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise Refusal(code, "the form cannot be read") from error


async def posted_fields(request: Request, limit: int) -> dict[str, str]:
    """The fields of a form by which a SAML message comes, each with one value. Raises `Refusal` (`saml_malformed`)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refusal(Code.SAML_MALFORMED, "the body is not a form; the IdP must use the HTTP-POST binding")
    fields: dict[str, str] = {}
    for name, value in parse_form(await read_body(request, limit, Code.SAML_MALFORMED), Code.SAML_MALFORMED):
        if name in fields:
            raise Refusal(Code.SAML_MALFORMED, f"the form has {name[:32]!r} twice")
        fields[name] = value
    return fields


async def query_and_form(request: Request) -> dict[str, str]:
    """The fields of a query and of a form of our own, each with one value. Raises `Refusal` (`request_malformed`)."""
    fields: dict[str, str] = {}
    for source in (request.scope["query_string"], await read_body(request, OWN_FORM_BYTES, Code.REQUEST_MALFORMED)):
        for name, value in parse_form(source, Code.REQUEST_MALFORMED):
            if fields.setdefault(name, value) != value:
                raise Refusal(Code.REQUEST_MALFORMED, f"the field {name[:32]!r} has two values")
    return fields


def is_page_load(head: Head) -> bool:
    """A person following a link: all that is ever redirected to a login by itself (the contract, section 4)."""
    return head.method in (b"GET", b"HEAD") and navigates(head) and _accepts_page(head)


def wants_page(head: Head) -> bool:
    """Whether what comes back will be looked at: a page load, or a form that was sent."""
    return is_page_load(head) or (_is_form(head) and navigates(head) and _accepts_page(head))


def navigates(head: Head) -> bool:
    """Whether this may be a window or a frame being filled, and not something within a page or ahead of its time."""
    return head.get(b"sec-fetch-dest") in PAGES and _is_of_now(head)


def is_framed(head: Head) -> bool:
    """Whether a browser says that what it loads will stand in a frame."""
    return head.get(b"sec-fetch-dest") in FRAMES


def fills_frame(head: Head) -> bool:
    """Whether a page would be shown in a frame, be it one whose loading is no page load in the contract's sense.

    An `object` is not among them: for an answer of refusal it shows what its page has in store for that.
    """
    return head.method in (b"GET", b"HEAD") and is_framed(head) and _is_of_now(head) and _accepts_page(head)


def _is_of_now(head: Head) -> bool:
    fields = head.fields
    return len(fields.get(b"sec-fetch-dest", ())) <= 1 and b"x-requested-with" not in fields and not is_prefetched(head)


def is_prefetched(head: Head) -> bool:
    """Whether a browser says that nobody has asked for this yet."""
    return any(b"prefetch" in value.lower() for value in head.fields.get(b"sec-purpose", ()))


def _accepts_page(head: Head) -> bool:
    return any(b"text/html" in value.lower() for value in head.fields.get(b"accept", ()))


def _is_form(head: Head) -> bool:
    """What a browser sends for a `<form method="post">` (HTML, 4.10.18.6), and scripts seldom."""
    kind = head.get(b"content-type") or b""
    return head.method == b"POST" and kind.partition(b";")[0].strip().lower() in FORMS


def language(head: Head) -> str | None:
    """The Accept-Language header, for the catalogues to choose by."""
    values = head.fields.get(b"accept-language")
    return b",".join(values).decode("latin-1") if values else None


def from_own_pages(head: Head, origin: str) -> bool:
    """Whether a browser says that a page of this origin made the request; where it says nothing, no."""
    site = head.get(b"sec-fetch-site")
    if site is not None:
        return site == b"same-origin"
    return head.get(b"origin") == origin.encode()
