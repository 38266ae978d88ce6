"""What kind of request this is: who is to be answered with a page, and who with a problem document."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from starlette.requests import Request

from bridge.errors import Code, Refusal
from bridge.exchange import Head

FORM_SECONDS = 30
MAX_FIELDS = 8
FRAMES = (None, b"document", b"iframe")


def head_of(request: Request) -> Head:
    """The head of a request that has already been handed to Starlette."""
    query = request.scope["query_string"]
    return Head(
        method=request.method.encode("ascii"),
        target=request.scope["raw_path"] + (b"?" + query if query else b""),
        headers=list(request.scope["headers"]),
        peer=request.client.host if request.client else "",
    )


async def read_form(request: Request, limit: int, code: Code) -> bytes:
    """The body of a form. Raises `Refusal`: 413 above `limit` bytes, 408 where it has not come within 30 seconds."""
    body = bytearray()
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise Refusal(code, f"the form is larger than {limit} bytes", status=413)
    except TimeoutError as error:
        raise Refusal(code, f"the form did not come within {FORM_SECONDS} s", status=408) from error
    return bytes(body)


def parse_form(encoded: bytes, code: Code) -> list[tuple[str, str]]:
    """The fields of a form or a query, at most 8, in order. Raises `Refusal` with the code."""
    try:
        return parse_qsl(encoded.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise Refusal(code, "the form cannot be read") from error


def is_page_load(head: Head) -> bool:
    """A person following a link: all that is ever redirected to a login by itself (the contract, section 4)."""
    return head.method in (b"GET", b"HEAD") and wants_page(head)


def wants_page(head: Head) -> bool:
    """Whether what comes back will be looked at: a page load, or a form that was sent."""
    return navigates(head) and any(b"text/html" in value.lower() for value in head.fields.get(b"accept", ()))


def navigates(head: Head) -> bool:
    """Whether this may be a window or a frame being filled, and not something within a page or ahead of its time."""
    fields = head.fields
    return (
        head.get(b"sec-fetch-dest") in FRAMES
        and len(fields.get(b"sec-fetch-dest", ())) <= 1
        and b"x-requested-with" not in fields
        and not any(b"prefetch" in value.lower() for value in fields.get(b"sec-purpose", ()))
    )


def is_framed(head: Head) -> bool:
    """Whether a browser says that what it loads will stand in a frame."""
    return head.get(b"sec-fetch-dest") == b"iframe"


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
