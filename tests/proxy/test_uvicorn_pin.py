"""What the proxy takes for granted of uvicorn and httptools, of which most is private.

When this fails after an upgrade, read the difference of uvicorn's `protocols/http/httptools_impl.py` and `server.py`,
then the traps that these tests name, and only then move the pin.
"""

from __future__ import annotations

import inspect
import re

import httptools
import uvicorn
from uvicorn.protocols.http import flow_control
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.supervisors import Multiprocess, multiprocess

from bridge.proxy.answer import Answering
from bridge.proxy.flow import Flow
from bridge.proxy.protocol import BridgeProtocol
from bridge.proxy.reader import RequestReader
from bridge.proxy.server import BridgeServer, Worker


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_version() -> None:
    assert uvicorn.__version__.split(".")[:2] == ["0", "54"]


def test_the_protocol_class() -> None:
    assert parameters(HttpToolsProtocol) == ["config", "server_state", "app_state", "_loop"]
    # Every method of uvicorn's that touches a request's state is replaced, or can no longer be reached.
    ours = vars(BridgeProtocol).keys() | vars(RequestReader).keys()
    replaced = {name for name in vars(HttpToolsProtocol) if name in ours}
    assert replaced >= {
        "connection_made",
        "connection_lost",
        "data_received",
        "on_message_begin",
        "on_header",
        "on_headers_complete",
        "on_body",
        "on_message_complete",
        "pause_writing",
        "resume_writing",
        "shutdown",
    }
    kept = {name for name, value in vars(HttpToolsProtocol).items() if inspect.isfunction(value)} - replaced
    assert kept == {
        "eof_received",
        "on_url",
        # Called by none of what is kept.
        "_get_upgrade",
        "_should_upgrade",
        "_should_upgrade_to_ws",
        "_start_asgi_task",
        "_unset_keepalive_if_required",
        "_unsupported_upgrade_warning",
        "handle_websocket_upgrade",
        "on_response_complete",
        "send_400_response",
        "timeout_keep_alive_handler",
    }


def test_the_request_cycle() -> None:
    assert parameters(RequestResponseCycle) == [
        "scope",
        "transport",
        "flow",
        "logger",
        "access_logger",
        "access_log",
        "default_headers",
        "message_event",
        "expect_100_continue",
        "keep_alive",
        "on_response",
    ]
    source = inspect.getsource(RequestResponseCycle)
    assert set(re.findall(r"self\.transport\.(\w+)", source)) == {"write", "close", "is_closing"}
    assert set(re.findall(r"self\.flow\.(\w+)", source)) == {"write_paused", "drain", "resume_reading"}
    assert {"receive", "send", "run_asgi"} <= set(vars(RequestResponseCycle))
    assert {"receive", "send"} <= set(vars(Answering))


def test_flow_control() -> None:
    assert parameters(flow_control.FlowControl) == ["transport"]
    assert {"pause_reading", "resume_reading"} <= set(vars(Flow))
    assert flow_control.HIGH_WATER_LIMIT == 65536


def test_the_server() -> None:
    assert parameters(uvicorn.Server._serve) == ["self", "sockets"]
    assert parameters(uvicorn.Server.shutdown) == ["self", "sockets"]
    assert "_captured_signals" in inspect.getsource(uvicorn.Server.__init__)
    assert "processes" in inspect.getsource(Multiprocess.__init__)
    # Every worker is made by this name, which `serve` puts its own class behind.
    assert inspect.getsource(Multiprocess).count(" Process(") == 4
    assert not re.search(r"\bServer\(", inspect.getsource(Multiprocess))
    assert "self.server.run(sockets)" in inspect.getsource(multiprocess.Process.target)
    assert type(Worker(uvicorn.Config("x:y"), []).server) is BridgeServer


def test_the_parser() -> None:
    class Protocol:
        pass

    parser = httptools.HttpRequestParser(Protocol())
    assert {"get_method", "get_http_version", "should_keep_alive", "should_upgrade", "feed_data"} <= set(dir(parser))
    assert issubclass(httptools.HttpParserCallbackError, httptools.HttpParserError)
    assert not issubclass(httptools.HttpParserUpgrade, httptools.HttpParserError)
