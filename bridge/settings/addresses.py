"""Hosts, ports, origins and the other values that say where something is.

As in `bridge.settings.values`, an error message says only what to write instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError

from bridge.hosts import DEFAULT_PORTS, authority, host_and_port, is_loopback
from bridge.settings.written import from_text, string, text, written_as_text

_UPSTREAM = r"^(https?://[^/?#@\s]+$|unix:(?!//).)"


def unusable(text: str, advice: str) -> ValueError:
    """What to raise for a URL. One with an @ may hold somebody's password, and is not quoted back."""
    return PydanticCustomError("secret", advice) if "@" in text else ValueError(advice)


def _host_or_none(text: str) -> tuple[str, int | None]:
    """As `host_and_port`, with an empty host where it would raise."""
    try:
        return host_and_port(text)
    except ValueError:
        return "", None


class Address(NamedTuple):
    """Where to listen. Port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, _folder: Path | None = None) -> Self:
        host, port = _host_or_none(text)
        if port is None:
            raise ValueError("write HOST:PORT, such as 127.0.0.1:8080, or 0.0.0.0:8080 for every interface")
        return cls(host, port)

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)

    def __str__(self) -> str:
        return authority(self.host, self.port)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return written_as_text(cls, cls.parse, string("HOST:PORT", "127.0.0.1:8080", pattern=".:[0-9]{1,5}$"))


@dataclass(frozen=True, slots=True)
class Upstream:
    """The platform: `host` and `port` for http and https, `path` for a unix socket."""

    scheme: Literal["http", "https", "unix"]
    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str, folder: Path | None = None) -> Self:
        scheme, _, rest = text.partition(":")
        if scheme == "unix" and rest and not rest.startswith("//") and rest.isprintable():
            return cls("unix", path=str(folder / rest if folder else rest))
        if scheme in ("http", "https") and rest.startswith("//"):
            host, port = _host_or_none(rest[2:])
            if host and port != 0:
                return cls("https" if scheme == "https" else "http", host, port or DEFAULT_PORTS[scheme])
        raise unusable(text, "write http://HOST:PORT, https://HOST:PORT or unix:/PATH, with nothing behind the port")

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix:{self.path}"
        return f"{self.scheme}://{authority(self.host, self.port, self.scheme)}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = string("address", "http://127.0.0.1:9000", "unix:/run/platform.sock", pattern=_UPSTREAM)
        return written_as_text(cls, cls.parse, written)


def origin(text: str) -> str:
    """An origin as browsers spell it; raises `ValueError`."""
    scheme, _, rest = text.partition("://")
    host, port = _host_or_none(rest)
    if scheme not in DEFAULT_PORTS or not host or port == 0:
        raise unusable(
            text, "write scheme://host or scheme://host:port and nothing behind it: https://learn.example.com"
        )
    if scheme == "http" and not is_loopback(host):
        raise ValueError("write https://…: plain http is for loopback only (127.0.0.1, localhost)")
    return f"{scheme}://{authority(host, port, scheme)}"


def _host(text: str) -> str:
    if "*" in text:
        raise ValueError("write each host by its own name: there are no wildcards")
    host, port = _host_or_none(text)
    if not host or port == 0:
        raise ValueError("write a host as browsers show it, without https:// and path: acme.learn.example.com")
    return authority(host, port)


def _host_name(text: str) -> str:
    host, port = _host_or_none(text)
    if not host or port is not None:
        raise ValueError("write the name as it stands in the certificate, without https:// and port: platform.internal")
    return host


def _http_url(text: str) -> str:
    advice = "write an address such as https://api.kombo.dev/v1, without user, query or fragment"
    if not text.isascii() or not text.isprintable() or any(character in text for character in " ?#\\"):
        raise unusable(text, advice)
    try:
        url = urlsplit(text)
        host, port = host_and_port(url.netloc)
    except ValueError:
        raise unusable(text, advice) from None
    if url.scheme not in DEFAULT_PORTS or port == 0:
        raise unusable(text, advice)
    if url.scheme == "http" and not is_loopback(host):
        raise ValueError(
            "write https://…: plain http is for loopback only, since the API key travels with each request"
        )
    return f"{url.scheme}://{authority(host, port, url.scheme)}{url.path.rstrip('/')}"


def _email_domain(text: str) -> str:
    if "*" in text:
        raise ValueError("write each domain by its own name: there are no wildcards")
    host, port = _host_or_none(text)
    if port is not None or "." not in host or ":" in host or host[-1].isdigit():
        raise ValueError("write the part behind the @, such as acme.com (letters outside ASCII in their xn-- form)")
    return host


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError("write an address, or a network without host bits: 10.0.0.0/8") from None


EmailDomain = Annotated[
    str,
    AfterValidator(_email_domain),
    WithJsonSchema(string("domain", "acme.com", pattern=r"^[^@/\s]+\.[^@/\s]+$")),
]
Host = Annotated[
    str, AfterValidator(_host), WithJsonSchema(text("host", "acme.learn.example.com", pattern=r"^[^/?#@\s]+$"))
]
HostName = Annotated[
    str, AfterValidator(_host_name), WithJsonSchema(text("host", "platform.internal", pattern=r"^[^/?#@\s]+$"))
]
HttpUrl = Annotated[
    str,
    AfterValidator(_http_url),
    WithJsonSchema(string("URL", "https://api.kombo.dev/v1", pattern="^[Hh][Tt][Tt][Pp][Ss]?://[^ ?#@/]+(/[^ ?#]*)?$")),
]
Network = Annotated[
    IPv4Network | IPv6Network,
    from_text(_network),
    WithJsonSchema(string("network", "10.0.0.0/8", pattern="^[0-9A-Fa-f:.]+")),
]
Origin = Annotated[
    str,
    AfterValidator(origin),
    WithJsonSchema(string("origin", "https://learn.example.com", pattern=r"^https?://[^/?#@\s]+$")),
]
