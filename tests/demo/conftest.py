from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER = "http://127.0.0.1:8080"
AUDIENCE = "content-platform"


@dataclass
class Signer:
    """Who signs the headers, with its keys on a real socket."""

    url: str = ""
    asked: int = 0
    keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)

    def jwks(self) -> bytes:
        algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
        public = [
            algorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": name, "alg": "ES256", "use": "sig"}
            for name, key in self.keys.items()
        ]
        return json.dumps({"keys": public}).encode()

    def sign(self, *, kid: str = "one", typ: str = "kombo-identity+jwt", **claims: Any) -> str:
        now = int(time.time())
        whole = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 60, "sub": "acme:u1"} | claims
        whole = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(whole, self.keys[kid], algorithm="ES256", headers={"kid": kid, "typ": typ})


@pytest.fixture
def signer() -> Iterator[Signer]:
    signer = Signer(keys={"one": ec.generate_private_key(ec.SECP256R1())})

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            signer.asked += 1
            body = signer.jwks()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    signer.url = f"http://127.0.0.1:{server.server_port}/_bridge/jwks.json"
    yield signer
    server.shutdown()
    thread.join()
    server.server_close()
