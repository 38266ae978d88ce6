"""An ASGI platform: what it made of each request is its answer and a line of its output."""

import json


async def app(scope, receive, send):
    if scope["type"] == "http":
        body, message = b"", {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        seen = [scope["method"], target.decode("latin-1"), scope["path"], headers, False]
        print("SEEN", json.dumps(seen), flush=True)
        answer = target + b"\n"
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]}
        )
        await send({"type": "http.response.body", "body": answer})
