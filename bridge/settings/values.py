"""The kinds of value that settings hold: durations, addresses, origins, patterns.

Every scalar of a settings file arrives here as the text that was written, so the type of the field alone decides what
it means: `no` is a name where a name is asked for. An error message says only what to write instead; what was found is
put before it by `bridge.settings.problems`, which knows what may be shown: nothing where the error's type is "secret".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import re2
from pydantic import (
    AfterValidator,
    GetCoreSchemaHandler,
    PlainSerializer,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError

from bridge.hosts import host_and_port, is_loopback
from bridge.settings.addresses import (
    Address,
    EmailDomain,
    Host,
    HostName,
    HttpUrl,
    Network,
    Origin,
    Upstream,
    origin,
    unusable,
)
from bridge.settings.written import folder_of, from_text, written_as_text

Slug = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PARAMETER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_TOKEN = re.compile(r"[!-~]+")
_URL = re.compile(r"https?://[!$-;=?-\[\]_a-z~]+", re.IGNORECASE)
_LIKE_A_URL = re.compile(r"\s*https?:|.*://", re.IGNORECASE | re.DOTALL)
_METADATA_URL = "write an address such as https://idp.acme.com/metadata, without user or fragment, or a file's name"
_OWN_HEADERS = re.compile(
    r"(x-kombo-|x-forwarded-|x-accel-|bridge-).*|host|(proxy-)?connection|keep-alive|content-length|transfer-encoding|te"
    r"|trailer|upgrade|expect|cookie|set-cookie|cache-control|forwarded|proxy-authorization",
    re.IGNORECASE,
)


def _duration(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and len(number) < 10 and unit in _UNITS):
        raise ValueError("write a whole number of seconds, minutes, hours or days: 90s, 15m, 12h or 30d")
    length = timedelta(seconds=int(number) * _UNITS[unit])
    if not timedelta(0) < length <= timedelta(days=3650):
        raise ValueError("write a duration longer than 0s and at most 3650d")
    return length


def _kept_for(text: str) -> timedelta:
    return timedelta(0) if text == "0s" else _duration(text)


def _colour(text: str) -> str:
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", text):
        raise ValueError('write a colour as "#RRGGBB", in quotes: a # begins a comment otherwise')
    return text.lower()


def _support(text: str) -> str:
    address = re.fullmatch(r"mailto:[A-Za-z0-9.+_-]+@[A-Za-z0-9.-]+", text)
    if len(text) > 512 or not (address or re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]+)?(/[!-~]*)?", text)):
        raise ValueError("write an https URL, or mailto: and an address")
    return text


def written_duration(length: timedelta) -> str:
    """A duration as a settings file says it, in the largest unit that fits."""
    seconds = int(length.total_seconds())
    unit = next(unit for unit, size in reversed(_UNITS.items()) if seconds % size == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
            raise ValueError(f"write a whole number from {least} to {most}")
        return int(text)

    return read


def _clock_skew(length: timedelta) -> timedelta:
    if length > timedelta(minutes=5):
        raise ValueError("write at most 5m: a larger skew keeps stolen answers usable; set the IdP's clock instead")
    return length


def _idle_life(length: timedelta) -> timedelta:
    if length < timedelta(minutes=1):
        raise ValueError("write at least 1m: uses are noted only now and then, and a shorter limit ends what is in use")
    return length


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("write true or false")
    return text == "true"


def _words(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("write some text on one line")
    return text.strip()


def _word(text: str) -> str:
    if not _TOKEN.fullmatch(text) or len(text) > 1024:
        raise ValueError("write it in printable ASCII without blanks, at most 1024 characters")
    return text


def _parameter(text: str) -> str:
    if not _PARAMETER.fullmatch(text):
        raise ValueError("write a query parameter's name: letters, digits, `_`, `.` and `-`")
    return text


def _method(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{1,16}", text):
        raise ValueError("write an HTTP method in capitals, such as POST")
    return text


def _status(text: str) -> int | None:
    if text == "2xx":
        return None
    if not re.fullmatch(r"[2-5][0-9][0-9]", text):
        raise ValueError("write one status such as 204, or leave it out for any 2xx")
    return int(text)


def _route_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("write a path that starts with /")
    if not text.isprintable() or any(character in text for character in "?#;%\\ "):
        raise ValueError("write the path decoded and without query; none of ? # ; % \\ nor a blank may stand in it")
    *head, last = text[1:].split("/")
    segments = (*head, last)
    if "" in head or "." in segments or ".." in segments:
        raise ValueError("write a path without empty, `.` or `..` segments")
    if segments.count("{course}") > 1:
        raise ValueError("write {course} at most once")
    if any("*" in segment for segment in head) or ("*" in last and last != "**"):
        raise ValueError("write ** as the last segment, for any rest; * means nothing anywhere else")
    if any(brace in segment for segment in segments if segment != "{course}" for brace in "{}"):
        raise ValueError("write {course} as a whole segment, as in /courses/{course}/**; there is no other placeholder")
    return text


def _resolved(path: Path, info: ValidationInfo) -> Path:
    folder = folder_of(info)
    return folder / path if folder else path


def _file_name(text: str) -> Path:
    if not text.strip() or not text.isprintable():
        raise ValueError("write the name of a file or folder")
    return Path(text)


def _metadata_source(text: str) -> Path | str:
    if not _LIKE_A_URL.match(text):
        return _file_name(text)
    try:
        url = urlsplit(text)
        host, port = host_and_port(url.netloc)
    except ValueError:
        raise unusable(text, _METADATA_URL) from None
    if not _URL.fullmatch(text) or "#" in text or port == 0 or len(text) > 2048:
        raise unusable(text, _METADATA_URL)
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(host)):
        raise unusable(text, "write https://…: whoever changes the metadata on the way decides who signs in")
    return text


def _resolved_source(source: Path | str, info: ValidationInfo) -> Path | str:
    return source if isinstance(source, str) else _resolved(source, info)


def _former_acs(text: str) -> str:
    origin, path = _origin_and_path(text)
    if not path or path == "/" or path.lower().startswith("/_bridge") or "//" in path or "/." in path:
        raise ValueError("write the whole URL of the older ACS: https://learn.example.com/saml/acs")
    return origin + path


def _origin_and_path(text: str) -> tuple[str, str]:
    """An URL without query and fragment, its origin spelt as browsers do."""
    head, slash, path = text.partition("://")[2].partition("/")
    if not re.fullmatch(r"[A-Za-z0-9/._~!$&'()*+,=:@-]*", path):
        raise ValueError("write a URL of plain characters, without query, fragment or percent signs")
    return origin(f"{text.partition('://')[0]}://{head}"), slash + path


def _state(text: str, info: ValidationInfo) -> str:
    if text.startswith("postgresql://"):
        return text
    scheme, _, rest = text.partition(":///")
    name, mark, query = rest.partition("?")
    if scheme != "sqlite" or not name or ":memory:" in name or "mode=memory" in query:
        raise PydanticCustomError("secret", "write sqlite:///var/bridge.db (a file) or postgresql://user@host/database")
    folder = folder_of(info)
    return f"sqlite:///{folder / name if folder else name}{mark}{query}"


@dataclass(frozen=True, slots=True)
class Regex:
    """A pattern with a group named `id`, matched whole.

    RE2, because the text comes from outside and must not be able to choose how long matching takes: linear time, no
    look-around and no back-references.
    """

    pattern: str
    compiled: Any = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str, _folder: Path | None = None) -> Self:
        options = re2.Options()
        options.log_errors = False
        try:
            compiled = re2.compile(text, options)
        except re2.error as error:
            reason = error.args[0].decode(errors="replace")
            raise ValueError(f"write an RE2 pattern, which has no look-around or back-reference ({reason})") from None
        if "id" not in compiled.groupindex:
            raise ValueError("write a pattern with a group named id around what counts: (?P<id>[0-9]+)@.*")
        return cls(text, compiled)

    def __str__(self) -> str:
        return self.pattern

    def fullmatch(self, text: str) -> Any:
        """RE2's match of the whole text, or None."""
        return self.compiled.fullmatch(text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return written_as_text(cls, cls.parse, "(?P<id>[0-9]+)@.*")


def _signing_secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < 32:
        raise PydanticCustomError("secret", "write 32 bytes or more, such as the output of `openssl rand -base64 48`")
    return secret


def _token(secret: SecretStr) -> SecretStr:
    if not _TOKEN.fullmatch(secret.get_secret_value()):
        raise PydanticCustomError("secret", "write a value of printable ASCII without blanks or line breaks")
    return secret


def _header_name(name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise ValueError("write a header name of letters, digits and `-`")
    if _OWN_HEADERS.fullmatch(name):
        raise ValueError("write another header name: the bridge or HTTP itself decides what this one says")
    return name


def _distinct(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    if len({name.lower() for name in headers}) != len(headers):
        raise ValueError("write each header once; names that differ only in case are one header")
    return headers


def _at_least_one(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("write at least one")
    return values


def _string(*examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": list(examples)})


Duration = Annotated[
    timedelta,
    from_text(_duration),
    PlainSerializer(written_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+[smhd]$"}),
]
KeptFor = Annotated[timedelta, from_text(_kept_for), _string("7d")]
Colour = Annotated[str, AfterValidator(_colour), _string("#0b5fff")]
Support = Annotated[str, AfterValidator(_support), _string("https://help.example.com", "mailto:help@example.com")]
ClockSkew = Annotated[Duration, AfterValidator(_clock_skew)]
IdleLife = Annotated[Duration, AfterValidator(_idle_life)]
AtLeastOne = AfterValidator(_at_least_one)
Count = Annotated[int, from_text(_whole_number(1, 1_000_000))]
RingSize = Annotated[int, from_text(_whole_number(10, 10_000))]
Distinct = AfterValidator(_distinct)
Flag = Annotated[bool, from_text(_flag)]
HeadBytes = Annotated[int, from_text(_whole_number(1024, 1024 * 1024))]
HeaderName = Annotated[str, AfterValidator(_header_name)]
SettingPath = Annotated[Path, from_text(_file_name), AfterValidator(_resolved), _string("tenants")]
FormerAcs = Annotated[str, AfterValidator(_former_acs)]
MetadataSource = Annotated[
    Path | str,
    from_text(_metadata_source),
    AfterValidator(_resolved_source),
    _string("acme-idp.xml", "https://idp.acme.com/metadata"),
]
Method = Annotated[str, AfterValidator(_method)]
Parameter = Annotated[str, AfterValidator(_parameter)]
RoutePath = Annotated[str, AfterValidator(_route_path)]
SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]
StateUrl = Annotated[str, AfterValidator(_state)]
Status = Annotated[int | None, from_text(_status)]
Token = Annotated[SecretStr, AfterValidator(_token)]
Word = Annotated[str, AfterValidator(_word)]
Words = Annotated[str, AfterValidator(_words)]

__all__ = [
    "Address",
    "AtLeastOne",
    "ClockSkew",
    "Count",
    "Distinct",
    "Duration",
    "EmailDomain",
    "Flag",
    "FormerAcs",
    "HeadBytes",
    "HeaderName",
    "Host",
    "HostName",
    "HttpUrl",
    "IdleLife",
    "MetadataSource",
    "Method",
    "Network",
    "Origin",
    "Parameter",
    "Regex",
    "RoutePath",
    "SettingPath",
    "SigningSecret",
    "Slug",
    "StateUrl",
    "Status",
    "Token",
    "Upstream",
    "Word",
    "Words",
    "written_duration",
]
