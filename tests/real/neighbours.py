"""The other sites that a browser meets: an IdP, an LMS, and somebody who means harm.

They share a server and differ by host name, which is what browsers go by: to them `idp.localhost`, `lms.localhost` and
`evil.localhost` are three sites, and the bridge on `127.0.0.1` is a fourth.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from bridge.demo.responses import read_authn_request, signed_response
from bridge.simulator import seed
from bridge.simulator.serving import running
from tests.support.deployment import idp_key
from tests.support.stage import identity

TITLE = '<!doctype html><title>{}</title><link rel="icon" href="data:,">'


@dataclass
class Neighbours:
    """`person` is whom the IdP says next; `shown` holds the pages of the others, by the name of the host."""

    port: int = 0
    person: seed.Person = seed.JANE
    shown: dict[str, str] = field(default_factory=dict)

    def origin(self, name: str) -> str:
        return f"http://{name}.localhost:{self.port}"

    @property
    def idp_url(self) -> str:
        """The base of every tenant's IdP, for `Deployment.idp_url`."""
        return self.origin("idp")

    def page_with(self, link: str, lms: str = "lms") -> str:
        """The address of an LMS page that has the link in a frame."""
        self.shown[lms] = (
            f'{TITLE.format("Your courses")}<iframe src="{escape(link)}" width="900" height="700"></iframe>'
        )
        return f"{self.origin(lms)}/"

    def post_from_evil(self, action: str, fields: Mapping[str, str], target: str = "_self") -> str:
        """The address of a page that posts a form by itself, in the visitor's browser."""
        self.shown["evil"] = (
            TITLE.format("You have won")
            + '<iframe name="hidden" width="9" height="9"></iframe>'
            + _form(action, fields, target)
            + "<script>document.forms[0].submit()</script>"
        )
        return f"{self.origin('evil')}/"

    async def sign_on(self, request: Request) -> Response:
        """The IdP: a page that says who it takes the visitor for, with a button. It may stand in a frame."""
        tenant = request.path_params["tenant"]
        request_id, issuer, acs = read_authn_request(request.query_params["SAMLRequest"])
        response = signed_response(
            idp_key(),
            issuer=f"{self.idp_url}/{tenant}",
            acs=acs,
            audience=issuer,
            in_response_to=request_id,
            now=datetime.now(UTC),
            **identity(tenant, self.person),
        )
        fields = {"SAMLResponse": response, "RelayState": request.query_params["RelayState"]}
        return HTMLResponse(TITLE.format(f"Signed in as {self.person.name}") + _form(acs, fields))

    async def page(self, request: Request) -> Response:
        name = (urlsplit(f"//{request.headers['host']}").hostname or "").partition(".")[0]
        return HTMLResponse(self.shown.get(name, ""), 200 if name in self.shown else 404)


def _form(action: str, fields: Mapping[str, str], target: str = "_self") -> str:
    inputs = "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in fields.items())
    return f'<form method="post" action="{escape(action)}" target="{target}">{inputs}<button>Continue</button></form>'


@contextlib.asynccontextmanager
async def neighbours() -> AsyncIterator[Neighbours]:
    found = Neighbours()
    app = Starlette(routes=[Route("/{tenant}/sso", found.sign_on), Route("/{rest:path}", found.page)])
    async with running(app) as origin:
        found.port = urlsplit(origin).port or 0
        yield found
