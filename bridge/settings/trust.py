"""Whom an https platform's certificate is verified against."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from bridge.settings.files import UnusableFileError, read_bytes, shown
from bridge.settings.model import Service

_LARGEST = 1024 * 1024
_OF_TLS = ("upstream_ca", "upstream_name")


def trusting(authorities: Path | None = None) -> ssl.SSLContext:
    """Verifies certificate and name against the system's authorities, or against those in a PEM file alone.

    Raises `UnusableFileError`.
    """
    if authorities is None:
        context = ssl.create_default_context()
    else:
        # An empty file must not mean the system's authorities, as it does to `create_default_context`.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        pem = read_bytes(authorities, _LARGEST).decode("ascii", "ignore")  # comments may be in any language
        try:
            context.load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError):
            message = f"{shown(authorities)} holds no certificate that can be read: write those of the authorities, PEM"
            raise UnusableFileError(message) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def problems(service: Service) -> Iterator[tuple[str, str]]:
    """What is wrong with how the platform is to be verified: the setting below `forwarding`, and the message."""
    forwarding = service.forwarding
    if service.upstream.scheme != "https":
        for name in _OF_TLS:
            if getattr(forwarding, name) is not None:
                yield name, f"{service.upstream} is not verified: write an https `upstream`, or remove the line"
    elif forwarding.upstream_ca is not None:
        try:
            trusting(forwarding.upstream_ca)
        except UnusableFileError as error:
            yield "upstream_ca", str(error)
