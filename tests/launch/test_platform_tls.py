"""A platform on https, with an authority and a name of its own, behind the service as an operator runs it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from tests.support.authority import Authority
from tests.support.stage import stage as open_stage

NAME = "platform.internal"


async def test_the_platform_is_verified_by_the_settings(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate(NAME))

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecure")
        writer.close()

    server = await asyncio.start_server(answers, "127.0.0.1", 0, ssl=context)
    upstream = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    forwarding = {"upstream_ca": authority.pem.name, "upstream_name": NAME}
    async with open_stage(tmp_path, upstream=upstream, forwarding=forwarding) as stage, stage.browser() as browser:
        answer = await browser.get("/static/x")
        assert (answer.status_code, answer.text) == (200, "secure")
    server.close()
