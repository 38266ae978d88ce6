"""What somebody saved of a SAML response, to the form's field as an IdP posts it.

People save what they could lay their hands on: the XML that a browser's extension shows, the base64 of the form, a line
of `curl`, or the whole body of the request. Each is turned back into the one text that the service is given.
"""

from __future__ import annotations

import base64
import html
import os
import re
import select
import stat
import time
from pathlib import Path
from urllib.parse import parse_qsl

from bridge.errors import BridgeError
from bridge.saml.document import BLANKS
from bridge.settings.files import UnusableFileError, read_bytes

MAX_BYTES = 2 * 1024 * 1024
"""Of a file: the largest response, with each of its characters percent-encoded, and what may stand around it."""
STDIN = 0
STDIN_SECONDS = 60
MAX_FIELDS = 32
LONGEST_NAME = 1024

_FIELD = "SAMLResponse"
_PAGE = re.compile(r"(?i)<!doctype html|<(html|form|input)[\s>]")
_INPUT = re.compile(r"(?i)<input\s[^<>]*>")
_NAMED = re.compile(r"""(?i)\sname=["']SAMLResponse["']""")
_VALUE = re.compile(r"""(?i)\svalue=["'](?P<value>[^"'<>]*)["']""")


def read_source(name: str) -> bytes:
    """A file's content, or what standard input has for `-` within a minute; raises `BridgeError`."""
    if name == "-":
        try:
            return _from_stdin()
        except OSError as error:  # closed, or a folder
            raise BridgeError(f"standard input cannot be read: {error.strerror}") from None
    if len(name) > LONGEST_NAME:  # not said again: it is somebody's response
        raise BridgeError("that is no file's name: save the response in a file, or give it by standard input, as -")
    try:
        return read_bytes(Path(name), MAX_BYTES)
    except UnusableFileError as error:
        raise BridgeError(str(error)) from None


def posted(data: bytes) -> str:
    """The SAMLResponse as it is posted, in base64; raises `BridgeError` for what holds none."""
    try:
        text = data.decode("utf-8-sig").strip(BLANKS)
    except UnicodeDecodeError:
        # XML in another encoding: refused by the very rule that the service has for it
        return base64.b64encode(data).decode("ascii")
    if not text:
        raise BridgeError("there is nothing in it: save the SAMLResponse that the IdP's form posts")
    if _PAGE.match(text):
        return _in_page(text)
    if text.startswith("<"):
        return base64.b64encode(text.encode()).decode("ascii")
    text = text.strip(f"{BLANKS}?'\"")
    if f"{_FIELD}=" in text:
        return _in_form(text)
    return _in_form(f"{_FIELD}={text}") if "%" in text else text


def _in_page(text: str) -> str:
    """The page by which an IdP lets the browser post the form by itself."""
    fields = [each[0] for each in _INPUT.finditer(text) if _NAMED.search(each[0])]
    found = [value["value"] for each in fields if (value := _VALUE.search(each))]
    if len(found) != 1:
        raise BridgeError(f"the page has {len(found)} form fields named {_FIELD}: exactly one is needed")
    return html.unescape(found[0])


def _in_form(text: str) -> str:
    """A value with a bare `+` was not encoded: base64 has no blanks."""
    body = text.strip("?&\"'")
    if "%" not in body:
        body = body.replace("+", "%2B")
    try:
        found = [value for name, value in parse_qsl(body, max_num_fields=MAX_FIELDS, errors="strict") if name == _FIELD]
    except ValueError:
        raise BridgeError(f"it looks like a form and cannot be read as one: save the value of {_FIELD} alone") from None
    if len(found) != 1:
        raise BridgeError(f"the form has {len(found)} fields named {_FIELD}: exactly one is needed")
    return found[0]


def _from_stdin() -> bytes:
    """Reads until the end, within limits: a pipe that never ends is no response."""
    descriptor, deadline = STDIN, time.monotonic() + STDIN_SECONDS
    regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    found = bytearray()
    while True:
        left = deadline - time.monotonic()
        if not regular and (left <= 0 or not select.select([descriptor], [], [], left)[0]):
            raise BridgeError(f"standard input did not end within {STDIN_SECONDS} s")
        chunk = os.read(descriptor, 64 * 1024)
        if not chunk:
            return bytes(found)
        found += chunk
        if len(found) > MAX_BYTES:
            raise BridgeError(f"standard input is larger than {MAX_BYTES // 1024} KiB, as no response is")
