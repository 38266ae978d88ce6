from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bridge.simulator.serving import running


async def hello(request: Request) -> Response:
    return PlainTextResponse(str(request.url.hostname))


async def sleepy(_: Request) -> Response:
    await asyncio.sleep(30)
    return PlainTextResponse("late")


APP = Starlette(routes=[Route("/", hello), Route("/sleepy", sleepy)])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_it_is_reachable_as_soon_as_the_block_begins_and_gone_after(host: str) -> None:
    async with running(APP, host=host) as origin, httpx.AsyncClient(trust_env=False) as client:
        assert origin.startswith(f"http://{host}:")
        assert (await client.get(origin)).text == host
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(origin)


async def test_two_at_once_on_ports_of_their_own() -> None:
    async with running(APP) as one, running(APP) as two:
        assert one != two


async def test_a_taken_port_is_an_error_at_once() -> None:
    async with running(APP) as origin:
        with pytest.raises(OSError, match="in use"):
            async with running(APP, port=int(origin.rsplit(":", 1)[1])):
                raise AssertionError("two servers on one port")


async def test_the_end_does_not_wait_for_the_slow() -> None:
    started = asyncio.get_running_loop().time()
    async with httpx.AsyncClient(trust_env=False) as client, running(APP) as origin:
        call = asyncio.create_task(client.get(f"{origin}/sleepy"))
        await asyncio.sleep(0.1)
    assert (await call).status_code == 500
    assert asyncio.get_running_loop().time() - started < 5
