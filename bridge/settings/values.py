"""The kinds of value that settings hold: durations, addresses, origins, patterns.

Every scalar of a settings file arrives here as the text that was written, so the type of the field alone decides what
it means: `no` is a name where a name is asked for. An error message says only what to write instead; what was found is
put before it by `bridge.settings.problems`, which knows what may be shown: nothing where the error's type is "secret".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import re2
from pydantic import (
    AfterValidator,
    GetCoreSchemaHandler,
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
from bridge.settings.measures import (
    AtLeastOne,
    ClockSkew,
    Count,
    Duration,
    Flag,
    HeadBytes,
    IdleLife,
    KeptFor,
    RingSize,
    Status,
    written_duration,
)
from bridge.settings.written import folder_of, from_text, string, text, written_as_text

Slug = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PARAMETER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_TOKEN = re.compile(r"[!-~]+")
_INTEGRATION = re.compile(r"[A-Za-z0-9_.:-]{1,512}")
_URL = re.compile(r"https?://[!$-;=?-\[\]_a-z~]+", re.IGNORECASE)
_LIKE_A_URL = re.compile(r"\s*https?:|.*://", re.IGNORECASE | re.DOTALL)
_METADATA_URL = "write an address such as https://idp.acme.com/metadata, without user or fragment, or a file's name"
_METADATA_PATTERN = r"^([Hh][Tt]{2}[Pp][Ss]?://[^@#\s/?]+([/?][^#\s]*)?$|(?!.*://).*\S)"
_OWN_HEADERS = re.compile(
    r"(x-kombo-|x-forwarded-|x-accel-|bridge-).*|host|(proxy-)?connection|keep-alive|content-length|transfer-encoding|te"
    r"|trailer|upgrade|expect|cookie|set-cookie|cache-control|forwarded|proxy-authorization",
    re.IGNORECASE,
)


def _colour(text: str) -> str:
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", text):
        raise ValueError('write a colour as "#RRGGBB", in quotes: a # begins a comment otherwise')
    return text.lower()


def _support(text: str) -> str:
    address = re.fullmatch(r"mailto:[A-Za-z0-9.+_-]+@[A-Za-z0-9.-]+", text)
    if len(text) > 512 or not (address or re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]+)?(/[!-~]*)?", text)):
        raise ValueError("write an https URL, or mailto: and an address")
    return text


def _words(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("write some text on one line")
    return text.strip()


def _word(text: str) -> str:
    if not _TOKEN.fullmatch(text) or len(text) > 1024:
        raise ValueError("write it in printable ASCII without blanks, at most 1024 characters")
    return text


def _integration_id(text: str) -> str:
    """Of Kombo's form only as much as tells an id from what else is copied: a link, or a placeholder."""
    if not _INTEGRATION.fullmatch(text):
        raise ValueError(
            "write the id alone, as Kombo's dashboard has it: the LMS's name, a colon, and what is the customer's:"
            " workday:HWUTwvyx2wLoSUHphiWVrp28"
        )
    return text


def _parameter(text: str) -> str:
    if not _PARAMETER.fullmatch(text):
        raise ValueError("write a query parameter's name: letters, digits, `_`, `.` and `-`")
    return text


def _method(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{1,16}", text):
        raise ValueError("write an HTTP method in capitals, such as POST")
    return text


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
        kind = "regular expression (RE2) with a group named id"
        return written_as_text(cls, cls.parse, string(kind, "(?P<id>[0-9]+)@.*", pattern=r"\(\?P?<id>"))


def _signing_secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < 32:
        raise PydanticCustomError("secret", "write 32 bytes or more, such as the output of `openssl rand -base64 48`")
    return secret


def _token(secret: SecretStr) -> SecretStr:
    if re.fullmatch(r"\$[A-Za-z_]\w*|%\w+%", secret.get_secret_value()):
        raise PydanticCustomError("secret", "write the variable with braces: ${NAME}")
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


Colour = Annotated[
    str, AfterValidator(_colour), WithJsonSchema(string("colour", '"#0b5fff"', pattern="^#[0-9A-Fa-f]{6}$"))
]
Support = Annotated[
    str,
    AfterValidator(_support),
    WithJsonSchema(
        string(
            "https URL, or mailto: address",
            "https://help.example.com",
            "mailto:help@example.com",
            pattern="^(https://|mailto:)",
        )
    ),
]
Distinct = AfterValidator(_distinct)
HeaderName = Annotated[
    str,
    AfterValidator(_header_name),
    WithJsonSchema(text("header name", "X-Remote-User", pattern="^[A-Za-z][A-Za-z0-9-]{0,63}$")),
]
SettingPath = Annotated[
    Path, from_text(_file_name), AfterValidator(_resolved), WithJsonSchema(text("path", pattern=r"\S"))
]
IntegrationId = Annotated[
    str,
    AfterValidator(_integration_id),
    WithJsonSchema(
        text("Kombo's id", "workday:HWUTwvyx2wLoSUHphiWVrp28", pattern="^[A-Za-z0-9_.:-]{1,512}$"),
    ),
]
FormerAcs = Annotated[str, AfterValidator(_former_acs), WithJsonSchema(string("URL", pattern="^https?://[^/]+/."))]
MetadataSource = Annotated[
    Path | str,
    from_text(_metadata_source),
    AfterValidator(_resolved_source),
    WithJsonSchema(
        text("path, or https URL", "acme-idp.xml", "https://idp.acme.com/metadata", pattern=_METADATA_PATTERN)
    ),
]
Method = Annotated[
    str, AfterValidator(_method), WithJsonSchema(text("HTTP method", "POST", "PUT", pattern="^[A-Z]{1,16}$"))
]
Parameter = Annotated[
    str,
    AfterValidator(_parameter),
    WithJsonSchema(text("query parameter's name", "tenant", pattern="^[A-Za-z0-9_.-]{1,64}$")),
]
RoutePath = Annotated[
    str,
    AfterValidator(_route_path),
    WithJsonSchema(string("path of a URL", '"/courses/{course}/**"', pattern=r"^/[^?#;%\\ *]*(\*\*)?$")),
]
SigningSecret = Annotated[
    SecretStr, AfterValidator(_signing_secret), WithJsonSchema(text("secret of 32 bytes or more", '"${BRIDGE_SECRET}"'))
]
StateUrl = Annotated[
    str,
    AfterValidator(_state),
    WithJsonSchema(
        string(
            "SQLite file or PostgreSQL URL",
            "sqlite:///var/bridge.db",
            "postgresql://bridge@db.internal/bridge",
            pattern="^(sqlite:///.|postgresql://)",
        )
    ),
]
Token = Annotated[SecretStr, AfterValidator(_token), WithJsonSchema(text("secret", '"${NAME}"', pattern="^[!-~]+$"))]
Word = Annotated[str, AfterValidator(_word), WithJsonSchema(text("text without blanks", pattern="^[!-~]{1,1024}$"))]
Words = Annotated[str, AfterValidator(_words), WithJsonSchema(text("text", pattern=r"\S"))]

__all__ = [
    "Address",
    "AtLeastOne",
    "ClockSkew",
    "Colour",
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
    "IntegrationId",
    "KeptFor",
    "MetadataSource",
    "Method",
    "Network",
    "Origin",
    "Parameter",
    "Regex",
    "RingSize",
    "RoutePath",
    "SettingPath",
    "SigningSecret",
    "Slug",
    "StateUrl",
    "Status",
    "Support",
    "Token",
    "Upstream",
    "Word",
    "Words",
    "written_duration",
]
