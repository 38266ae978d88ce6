"""`POST /_bridge/webhooks/kombo` (the contract, section 4): from a signed body to a hint that is on disk.

Kombo signs with one secret an environment, and a tenant may be of another environment than the service's. A webhook
counts only for the integrations of the secret that signed it. Without a good signature nothing is parsed and nothing
written; what is verified and of no use is answered like the rest, as sending it again would change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

import structlog
from starlette.requests import Request
from starlette.responses import Response

from bridge.directory import hints
from bridge.errors import Code, Refusal
from bridge.exchange import Head
from bridge.front.requests import read_body
from bridge.front.turns import STRANGERS_WAITING, Turns
from bridge.kombo.webhooks import UnreadableWebhook, read, signer
from bridge.settings.model import Configuration, Tenant
from bridge.store.engine import Store

PATH = "/_bridge/webhooks/kombo"
MAX_BYTES = 64_000
"""Kombo's are below 2 kB; anybody may send one, so this is what any stranger may send."""

_SIGNATURE = re.compile(rb"[A-Za-z0-9_-]{43}")

Secrets = Mapping[str, Mapping[str, Tenant]]

log = structlog.get_logger()


class Webhooks:
    """Answers Kombo. `current` gives the configuration in force.

    Signatures are tried one request at a time, in a thread: whoever sends rubbish takes no more of the machine than
    that, however many secrets there are.
    """

    def __init__(self, store: Store, current: Callable[[], Configuration]) -> None:
        self._store = store
        self._current = current
        self._turns = Turns(1, waiting=STRANGERS_WAITING)
        self._known: tuple[Configuration | None, Secrets] = (None, {})

    @property
    def exist(self) -> bool:
        """Whether anybody has a secret: without one there is no such URL."""
        return bool(self._secrets())

    async def receive(self, request: Request, head: Head) -> Response:
        """200 once what it leads to is on disk. Raises `Refusal` (401 without a good signature) and `StateError`, upon
        which Kombo may send it again.
        """
        signature = _signature(head)
        body = await read_body(request, MAX_BYTES, Code.REQUEST_MALFORMED)
        secrets = self._secrets()
        secret = await self._turns.take(partial(signer, signature, body, secrets))
        if secret is None:
            raise _unsigned("no webhook_secret made the signature of the webhook")
        try:
            webhook = read(body)
        except UnreadableWebhook as error:
            raise Refusal(Code.REQUEST_MALFORMED, f"a signed webhook that cannot be read: {error}") from error
        tenants = secrets[secret]
        outcome = await hints.take(self._store, webhook, tenants)
        tenant = tenants.get(webhook.integration_id or "")
        log.info(
            "webhook_received",
            type=webhook.type,
            integration=webhook.integration_id,
            tenant=tenant.slug if tenant else None,
            outcome=str(outcome),
        )
        return Response(None, 200, {"Cache-Control": "no-store"})

    def _secrets(self) -> Secrets:
        configuration = self._current()
        if self._known[0] is not configuration:
            self._known = configuration, by_secret(configuration)
        return self._known[1]


def by_secret(configuration: Configuration) -> Secrets:
    """The tenants of each secret by their integrations; the service's secret is among them though no tenant has it."""
    found: dict[str, dict[str, Tenant]] = {}
    if own := configuration.service.kombo.webhook_secret:
        found[own.get_secret_value()] = {}
    for tenant in configuration.tenants.values():
        if secret := tenant.kombo.webhook_secret:
            found.setdefault(secret.get_secret_value(), {})[tenant.integration_id] = tenant
    return found


def _signature(head: Head) -> bytes:
    values = head.fields.get(b"x-kombo-signature", [])
    if len(values) != 1 or not _SIGNATURE.fullmatch(values[0]):
        raise _unsigned("a webhook without exactly one X-Kombo-Signature of 43 characters of base64url")
    return values[0]


def _unsigned(reason: str) -> Refusal:
    return Refusal(Code.REQUEST_MALFORMED, reason, status=401)
