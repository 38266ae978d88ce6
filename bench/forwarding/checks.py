"""What a side must get right before it is timed: a wrong answer is not a result."""

from __future__ import annotations

import httpx

from bench.forwarding.sides import LEARNER, PAGE, PUBLIC_WHO, WHO, Side

SPOOFED = {"X-Kombo-User": "evil"}


class Wrong(Exception):
    """A side that let a claim through, lost somebody, or let somebody in without a session."""


async def check(side: Side) -> None:
    """Raises `Wrong`."""
    async with httpx.AsyncClient(base_url=side.url, timeout=30) as client:
        page = await client.get(PAGE, headers=side.session)
        expect(side, "the page", page, "x" * 1024)
        if not side.identifies:
            return
        expect(side, "the learner", await client.get(WHO, headers=side.session), LEARNER.id)
        expect(side, "a claim of a learner", await client.get(WHO, headers=side.session | SPOOFED), LEARNER.id)
        expect(side, "a claim of nobody", await client.get(PUBLIC_WHO, headers=SPOOFED), "")
        stranger = await client.get(WHO, headers=SPOOFED)
        if stranger.status_code < 300:
            raise Wrong(f"{side.name} forwarded a request without a session")


def expect(side: Side, what: str, answer: httpx.Response, text: str) -> None:
    if answer.status_code != 200 or answer.text != text:
        told = f"{answer.status_code} {answer.text[:200]!r}"
        raise Wrong(f"{side.name} got {what} wrong: {told} in place of {text[:40]!r}; nothing was timed")
