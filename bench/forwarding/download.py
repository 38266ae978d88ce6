"""`python -m bench.forwarding.download URL [HEADER…]`: reads an answer to its end and throws it away."""

from __future__ import annotations

import json
import socket
import sys
import time
from urllib.parse import urlsplit

PIECE = 1 << 18


def download(url: str, headers: list[str]) -> dict[str, float]:
    """The status, the bytes of the body, and the seconds that it took."""
    parts = urlsplit(url)
    lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", *headers, "Connection: close", "", ""]
    assert parts.hostname and parts.port
    began = time.perf_counter()
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as sock:
        sock.sendall("\r\n".join(lines).encode())
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(PIECE)
            if not piece:
                raise ConnectionError("the connection ended within the head of the answer")
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length, buffer = len(body), bytearray(PIECE)
        while received := sock.recv_into(buffer):
            length += received
    return {"status": int(head.split()[1]), "bytes": length, "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    print(json.dumps(download(sys.argv[1], sys.argv[2:])))
