"""Sessions: an opaque id in a signed cookie, everything else on our side.

A session says who signed in and nothing of what they may do. In front of the store each process keeps one cache whose
entries live `CACHE_SECONDS`; a session that is ended anywhere is therefore gone everywhere within that time.
"""

from __future__ import annotations

import asyncio
import secrets as random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog
from cachetools import TTLCache
from sqlalchemy import Connection

from bridge.digests import digest_of
from bridge.directory.freshness import freshness, since
from bridge.errors import BridgeError, Code, Refusal, SamlRefusal
from bridge.exchange import Forward
from bridge.flights import Flights
from bridge.saml.logout import LogoutRequest
from bridge.saml.model import NameId
from bridge.session import names
from bridge.session.names import AtIdp
from bridge.session.tokens import Tokens
from bridge.settings.model import Configuration, SessionLife, Tenant
from bridge.stamp.identity import Access
from bridge.store import launches, owners
from bridge.store import sessions as rows
from bridge.store.engine import Store, length_ms, now_ms
from bridge.store.launches import Launch
from bridge.store.lookups import Person
from bridge.store.owners import Owned
from bridge.store.sessions import SessionRow

CACHE_SECONDS = 5
CACHE_ENTRIES = 20_000
TOUCH_SECONDS = 60

log = structlog.get_logger()


@dataclass(slots=True)
class Entry:
    """A live session as one process holds it for a few seconds: whose it is, and what was already decided for it.

    `person` is None where nobody in Kombo matched (`unmatched: pass`). `known_at`, in milliseconds, is the moment of
    which the person is known; None without one. `until` is the end of the session on the monotonic clock. `forwards`
    are the decisions made so far, by course (None: no course), and `accesses` what they rest on. `launch` and `awaits`
    are those of the row, as far as this process has heard.
    """

    row: SessionRow
    tenant: Tenant
    person: Person | None
    until: float
    known_at: int | None = None
    forwards: dict[str | None, Forward] = field(default_factory=dict)
    accesses: dict[str, Access] = field(default_factory=dict)
    launch: str | None = None
    awaits: str | None = None

    def rests(self) -> Refusal | None:
        """A refusal (`user_unknown`) where the person may be gone by now: the session rests until Kombo says.

        It does not end, as nothing says that it should.
        """
        if self.known_at is None or freshness(self.tenant, self.known_at) != "too_old":
            return None
        return Refusal(Code.USER_UNKNOWN, f"the session's person is {since(self.known_at)}, which is too long ago")

    def confirm(self) -> None:
        """Raises `Refusal` where it rests."""
        if refusal := self.rests():
            raise refusal


@dataclass(frozen=True, slots=True)
class SignIn:
    """A verified sign-in, to become a session.

    `auth_time` is in seconds since 1970; `ends_at` is the IdP's own limit in milliseconds since then, if it gave one.
    `name` and `session_index` are what the IdP calls the session; `issued_at`, in milliseconds, is when it said so.
    `launch` is the row of the launch that it belongs to, written together with the session. `source` is the attribute
    by which the person was recognised, or `NameID`.
    """

    tenant: Tenant
    user_id: str | None
    subject: str | None
    tier: str
    auth_time: int
    ends_at: int | None
    name: NameId | None = None
    session_index: str | None = None
    issued_at: int | None = None
    launch: Launch | None = None
    source: str | None = None


class Sessions:
    """Opens, finds and ends sessions. `current` gives the configuration in force."""

    def __init__(self, store: Store, secrets: Sequence[str], current: Callable[[], Configuration]) -> None:
        self._store = store
        self._tokens = Tokens(secrets, "session")
        self._current = current
        self._cache: TTLCache[str, Entry] = TTLCache(CACHE_ENTRIES, CACHE_SECONDS)
        self._ended: TTLCache[str, None] = TTLCache(CACHE_ENTRIES, CACHE_SECONDS)
        self._flights: Flights[Entry | None] = Flights()
        self._writing: set[asyncio.Task[None]] = set()

    def cached(self, cookie: str) -> Entry | None:
        """The live session of a cookie, if this process has just looked it up."""
        try:
            entry = self._cache[cookie]  # a third of what `get` costs
        except KeyError:
            return None
        return entry if entry.until > time.monotonic() else None

    async def find(self, cookie: str) -> Entry | None:
        """The live session of a cookie; None where there is none. Raises `StateError`."""
        if entry := self.cached(cookie):
            return entry
        sid = self._tokens.unsign(cookie)
        if sid is None:
            return None
        return await self._flights.ask(cookie, lambda: self._load(cookie, digest_of(sid)))

    async def _load(self, cookie: str, digest: str) -> Entry | None:
        configuration = self._current()
        living = await self._store.read(lambda connection: _living(connection, [digest], configuration))
        if not living:
            return None
        [entry] = living
        self._touch_sometimes(entry.row, entry.tenant.session)
        if digest in self._ended:  # while this was being read
            return None
        if self._current() is configuration:
            self._cache[cookie] = entry
        return entry

    async def standing(self, names: Collection[str]) -> Mapping[str, float]:
        """See `bridge.exchange.Decider`; a name is a `session_name`. At most a few hundred at a time.

        A session that rests is not among them: a stream goes on while a new request would be let through.
        """
        configuration = self._current()
        living = await self._store.read(lambda connection: _living(connection, names, configuration))
        ends = {entry.row.digest: entry.until for entry in living if not entry.rests()}
        return {name: until for name, until in ends.items() if name not in self._ended}

    def _touch_sometimes(self, row: SessionRow, life: SessionLife) -> None:
        if life.idle is None:
            return
        moment = now_ms()
        if moment - row.used_at < min(1000 * TOUCH_SECONDS, length_ms(life.idle) / 4):
            return
        self._write_later(lambda connection: rows.touch(connection, row.digest, moment))

    def _write_later(self, work: Callable[[Connection], None]) -> None:
        """Write without holding anybody up; what fails is in the log."""
        task = asyncio.ensure_future(self._write(work))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, work: Callable[[Connection], None]) -> None:
        try:
            await self._store.write(work)
        except BridgeError as error:
            log.warning("sessions_not_written", reason=str(error))

    async def open(self, sign_in: SignIn) -> str:
        """A new session; the cookie's value.

        Raises `SamlRefusal` (`login_expired`) where the IdP has logged the person out since: a logout holds also for
        an assertion that comes after it (SAML core 3.7.3.2). Many IdPs write whole seconds; in the same one the
        assertion counts as the later, as nobody has logged in and out in it by hand. Raises `StateError`.
        """
        sid = random.token_urlsafe(24)
        row, issued = _new_row(digest_of(sid), sign_in), sign_in.issued_at

        def work(connection: Connection) -> bool:
            if issued is not None:
                names.alone(connection, row)
                if names.logged_out_since(connection, row, issued):
                    return False
            rows.add(connection, row)
            if sign_in.launch:
                launches.add(connection, sign_in.launch)
            return True

        if not await self._store.write(work):
            raise SamlRefusal(
                Code.LOGIN_EXPIRED, "logged_out", "the IdP has logged this person out since it issued the assertion"
            )
        return self._tokens.sign(sid)

    def cookie_of(self, sid: str) -> str:
        """The value of a cookie for the session of a `session_id`, which must come from something that we signed."""
        return self._tokens.sign(sid)

    async def renew(self, cookie: str, limit: int | None) -> str | None:
        """Replace a session by one of the same sign-in that lasts its full time; the new cookie's value.

        None where it has ended. `limit` is the IdP's own, in milliseconds since 1970. Raises `StateError`.
        """
        entry = await self.find(cookie)
        if entry is None:
            return None
        sid, moment, former = random.token_urlsafe(24), now_ms(), session_name(cookie)
        ends_at = moment + length_ms(entry.tenant.session.lifetime)

        def work(connection: Connection) -> bool:
            names.alone(connection, entry.row)
            row = rows.end(connection, former)
            if row:
                ends = min(ends_at, limit or ends_at)
                rows.add(connection, replace(row, digest=digest_of(sid), used_at=moment, ends_at=ends))
            return row is not None

        self._cache.pop(cookie, None)
        return self._tokens.sign(sid) if await self._store.write(work) else None

    async def end(self, cookie: str) -> AtIdp | None:
        """End the session of a cookie: here at once, elsewhere when its cached entry runs out.

        Returns the session as the IdP knows it where the IdP is to end its own too. Raises `StateError`.
        """
        self._cache.pop(cookie, None)
        if self._tokens.unsign(cookie) is None:
            return None
        row = await self.end_named(session_name(cookie))
        tenant = row and self._current().tenants.get(row.tenant)
        return names.at_idp(row, tenant) if row and tenant and _same_trust(row, tenant) else None

    async def end_named(self, name: str) -> SessionRow | None:
        """End the session of a `session_name`, everywhere when its cached entry runs out. Raises `StateError`."""
        self._ended[name] = None
        return await self._store.write(lambda connection: rows.end(connection, name))

    async def end_by_idp(self, tenant: Tenant, request: LogoutRequest) -> frozenset[str]:
        """End what the tenant's IdP wants ended: here at once, elsewhere when the cached entries run out.

        Returns each one's `session_name`; none where the same request came before. Raises `StateError`: then nothing
        has ended, and the same request may come again.
        """
        ended = await self._store.write(lambda connection: names.end(connection, tenant, request))
        self._forget(ended)
        return ended

    def _forget(self, ended: Collection[str]) -> None:
        """Nothing that this process holds, or is looking up, of these sessions counts any more."""
        for name in ended:
            self._ended[name] = None
        for cookie in list(self._cache) if ended else ():
            if (entry := self._cache.get(cookie)) and entry.row.digest in ended:
                del self._cache[cookie]

    def take_over(self, former: Configuration, now: Configuration) -> None:
        """The configuration has changed: look every session up anew.

        Those of a removed tenant, and of one that trusts another IdP or integration now, are ended for good (the
        contract, section 3): when the tenant comes back as it was, they do not. Those of a tenant that only cannot be
        served now, because its IdP's metadata has expired, rest until it can.
        """
        self.forget_cached()
        for slug, tenant in former.tenants.items():
            other = now.tenants.get(slug)
            if other is tenant or (other is None and slug in now.broken):
                continue
            if other is None or _trust(other) != _trust(tenant):
                integration, provider = _trust(tenant)
                self._write_later(partial(rows.end_all, tenant=slug, integration_id=integration, provider=provider))

    def forget_cached(self) -> None:
        """Look every session up anew."""
        self._cache.clear()


def session_id(cookie: str) -> str:
    """What a cookie's value says, without the signature that makes it one."""
    return cookie.partition(".")[0]


def session_name(cookie: str) -> str:
    """What a session is called where its cookie must not stand; whether there is one is another question."""
    return digest_of(session_id(cookie))


def _living(connection: Connection, digests: Collection[str], configuration: Configuration) -> list[Entry]:
    """Those of the sessions that have not ended and that somebody may use."""
    found = (_entry(owned, configuration) for owned in owners.owned(connection, digests))
    return [entry for entry in found if entry is not None]


def _entry(owned: Owned, configuration: Configuration) -> Entry | None:
    row, person, known_at = owned
    tenant = configuration.tenants.get(row.tenant)
    if not tenant or not _same_trust(row, tenant) or (remaining := _remaining_ms(row, tenant.session)) <= 0:
        return None
    usable = tenant.unmatched == "pass" if row.user_id is None else person is not None and person.active
    until = time.monotonic() + remaining / 1000
    return Entry(row, tenant, person, until, known_at, launch=row.launch, awaits=row.awaits) if usable else None


def _same_trust(row: SessionRow, tenant: Tenant) -> bool:
    """A changed integration or IdP ends a tenant's sessions (the contract, section 3)."""
    return (row.integration_id, row.provider) == _trust(tenant)


def _trust(tenant: Tenant) -> tuple[str, str]:
    return tenant.integration_id, tenant.provider.entity_id


def _new_row(digest: str, sign_in: SignIn) -> SessionRow:
    tenant, name, moment = sign_in.tenant, sign_in.name, now_ms()
    ends_at = moment + length_ms(tenant.session.lifetime)
    return SessionRow(
        digest=digest,
        tenant=tenant.slug,
        integration_id=tenant.integration_id,
        provider=tenant.provider.entity_id,
        user_id=sign_in.user_id,
        subject=sign_in.subject,
        tier=sign_in.tier,
        auth_time=sign_in.auth_time,
        created_at=moment,
        used_at=moment,
        ends_at=min(ends_at, sign_in.ends_at or ends_at),
        name_id=names.in_clear(name, tenant) if name else None,
        name_digest=names.name_digest(name) if name else None,
        session_index=sign_in.session_index or None,
        launch=sign_in.launch.id if sign_in.launch else None,
        source=sign_in.source,
    )


def _remaining_ms(row: SessionRow, life: SessionLife) -> int:
    ends = row.ends_at
    if life.idle is not None:
        ends = min(ends, row.used_at + length_ms(life.idle))
    return ends - now_ms()
