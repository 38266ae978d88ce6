"""An identity provider on pysaml2, in one file: python idp.py PORT FOLDER

FOLDER holds its key and certificate (`idp.pem`, `idp.crt`), service providers' metadata (`trusted/*.xml`) and
`answer.json`, read again with every login: {"users": {name: {"name_id", "format", "attributes"}}, "options": {…}},
`options` being those of `Server.create_authn_response`. It runs in an environment of its own, since the bridge needs
nothing of it.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT
from saml2.assertion import Policy
from saml2.authn_context import PASSWORD
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.saml import NAME_FORMAT_BASIC, NameID
from saml2.server import Server

PORT, FOLDER = int(sys.argv[1]), Path(sys.argv[2])
ORIGIN = f"http://localhost:{PORT}"
ASK = '<!doctype html><title>Who are you?</title><form method="post"><input name="username"></form>'


def server() -> Server:
    settings: dict[str, Any] = {
        "entityid": f"{ORIGIN}/metadata",
        "xmlsec_binary": "/usr/bin/xmlsec1",
        "key_file": str(FOLDER / "idp.pem"),
        "cert_file": str(FOLDER / "idp.crt"),
        "metadata": {"local": [str(path) for path in FOLDER.glob("trusted/*.xml")]},
        "service": {
            "idp": {
                "endpoints": {"single_sign_on_service": [(f"{ORIGIN}/sso", BINDING_HTTP_REDIRECT)]},
                "policy": {"default": {"lifetime": {"minutes": 5}, "name_form": NAME_FORMAT_BASIC}},
            }
        },
    }
    return Server(config=IdPConfig().load(settings))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/metadata":
            self._send(str(entity_descriptor(server().config)))
        else:
            self._send(ASK)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        query = parse_qs(urlsplit(self.path).query)
        self._send(answer(query["SAMLRequest"][0], query["RelayState"][0], form["username"][0]))

    def _send(self, page: str) -> None:
        body = page.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def answer(saml_request: str, relay_state: str, username: str) -> str:
    """The page that posts the response to the service provider."""
    idp, wanted = server(), json.loads((FOLDER / "answer.json").read_text())
    user = wanted["users"][username]
    request = idp.parse_authn_request(saml_request, BINDING_HTTP_REDIRECT)
    where = idp.response_args(request.message, [BINDING_HTTP_POST])
    response = idp.create_authn_response(
        identity=user["attributes"],
        userid=username,
        name_id=NameID(text=user["name_id"], format=user["format"]),
        authn={"class_ref": PASSWORD, "authn_auth": ORIGIN},
        release_policy=Policy({"default": {"lifetime": {"minutes": 5}, "name_form": NAME_FORMAT_BASIC}}),
        **{name: where[name] for name in ("in_response_to", "destination", "sp_entity_id", "name_id_policy")},
        **wanted["options"],
    )
    sent: dict[str, Any] = idp.apply_binding(
        BINDING_HTTP_POST, str(response), where["destination"], relay_state, response=True
    )
    return str(sent["data"])


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
