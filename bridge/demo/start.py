"""The demo's start page.

A card leads to `/launch/{key}`, which makes the browser forget its session at the bridge and goes on to the IdP; this
signs the card's person in and goes on to the deep link. From there it is an ordinary SP-initiated launch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bridge.demo.cast import TENANTS
from bridge.demo.launches import commands, groups, launch, launches, operations
from bridge.demo.looks import page

BRIDGE_COOKIES = "kombo-bridge"


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere to look behind the scenes."""

    name: str
    url: str


def start_page(*, bridge: str, idp: str, kombo: str, internal: str, config: Path) -> Starlette:
    """The application, for the origins of the bridge, the IdP, the simulated Kombo and the bridge's internal listener;
    and for the bridge's settings.

    It has to be served on the bridge's host (on any port: cookies ignore ports), or it could not end the session there.
    """
    sections = [
        {
            "key": group.key,
            "title": group.title,
            "about": group.about,
            "launches": [launch(card, bridge=bridge, idp=idp) for card in group.cards],
        }
        for group in groups()
    ]
    by_key = {one.key: one for one in launches(bridge=bridge, idp=idp)}

    async def start(_: Request) -> Response:
        return page(
            "start.html",
            groups=sections,
            commands=(*commands(bridge=bridge, kombo=kombo), *operations(config)),
            places=_places(bridge, idp, internal),
        )

    async def go(request: Request) -> Response:
        try:
            chosen = by_key[request.path_params["key"]]
        except KeyError:
            raise HTTPException(404) from None
        response = RedirectResponse(chosen.url, 303, {"Cache-Control": "no-store"})
        for name in request.cookies:
            if name.startswith(BRIDGE_COOKIES):
                response.delete_cookie(name)
        return response

    return Starlette(routes=[Route("/", start), Route("/launch/{key}", go)])


def _places(bridge: str, idp: str, internal: str) -> Sequence[Place]:
    names = {slug: settings["name"] for slug, settings in TENANTS.items()}
    return (
        Place("The admins' page: sign in with the token that the terminal shows", f"{internal}/admin"),
        Place("Public keys of the signed header (JWKS)", f"{bridge}/_bridge/jwks.json"),
        Place("Which organisation are you with?", f"{bridge}/_bridge/organizations"),
        Place("The platform, for whoever is signed in", f"{bridge}/my"),
        Place("Sign out of the bridge", f"{bridge}/_bridge/logout"),
        *(
            Place(f"Metadata of the bridge for {name}", f"{bridge}/_bridge/saml/{slug}/metadata")
            for slug, name in names.items()
        ),
        *(Place(f"Metadata of the IdP of {name}", f"{idp}/{slug}/metadata") for slug, name in names.items()),
        *(Place(f"Sign out at the IdP of {name}", f"{idp}/{slug}/sign-out") for slug, name in names.items()),
    )
