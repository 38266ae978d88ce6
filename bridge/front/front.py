"""The decision: what happens to a request, from its head alone.

`decide` answers at once where this process has the session at hand and has decided the same for it before; otherwise
it looks things up first. It is the only place that decides, whoever forwards; what it says is carried out, not
reconsidered.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Collection, Mapping

from starlette.responses import Response
from starlette.types import ASGIApp

from bridge.audit import Audit
from bridge.errors import Code, Refusal, StateError
from bridge.exchange import Answer, Decision, Forward, Head, Whose
from bridge.front import queries
from bridge.front.completions import Completions, Met, met_by
from bridge.front.desk import Desk
from bridge.front.doorway import Doorway
from bridge.front.landing import Landing
from bridge.front.learners import learner, logged
from bridge.front.places import Place
from bridge.front.refusals import Refusals, redirect, respond
from bridge.front.requests import fills_frame, is_framed, is_page_load, language
from bridge.front.routes import Match
from bridge.front.rules import Rules
from bridge.front.targets import deep_link, quoted, relay_target
from bridge.front.waiting import Waiting
from bridge.gate.gate import Gate
from bridge.launches.launches import Launches
from bridge.pages import ORGANIZATIONS, RefusalLinks
from bridge.proxy.headers import HeaderPolicy
from bridge.session.sessions import Entry, session_name
from bridge.settings.model import Configuration, Tenant
from bridge.stamp.headers import Stamp
from bridge.stamp.identity import Access

ANONYMOUS_SECONDS = 5
_NEVER = (0.0, Forward(b""))
COURSES_REMEMBERED = 64
OF_THE_PLATFORM = (Code.UPSTREAM_UNAVAILABLE, Code.UPSTREAM_TIMEOUT)


class Front:
    """Decides. Built once; `apply` gives it the configuration in force, now and at every reload."""

    def __init__(
        self,
        configuration: Configuration,
        desk: Desk,
        *,
        gate: Gate,
        stamp: Stamp,
        policy: HeaderPolicy,
        completions: Completions,
        waiting: Waiting,
        launches: Launches,
        audit: Audit,
    ) -> None:
        self.rules = Rules(configuration, desk.cookies)
        self.refusals = Refusals(desk.pages, launches)
        self._landing = Landing(launches)
        self.doorway = Doorway(desk, lambda: self.rules)
        self._desk = desk
        self._gate = gate
        self._stamp = stamp
        self._policy = policy
        self._completions = completions
        self._waiting = waiting
        self._audit = audit
        self._bridge: Answer | None = None
        self._nobody: dict[Whose, tuple[float, Forward]] = {}

    def mount(self, application: ASGIApp) -> None:
        """The application that answers under `/_bridge/`."""
        self._bridge = Answer(application)

    def apply(self, configuration: Configuration) -> None:
        """Take over new settings; everything decided under the old ones is looked at anew."""
        former, self.rules = self.rules.configuration, Rules(configuration, self._desk.cookies)
        self._desk.sessions.take_over(former, configuration)

    def decide(self, head: Head) -> Decision | Awaitable[Decision]:
        """See `bridge.exchange.Decider`."""
        try:
            return self._decide(head)
        except Refusal as refusal:
            return Answer(self.refuse(head, refusal))

    def refuse(self, head: Head, refusal: Refusal) -> ASGIApp:
        """See `bridge.exchange.Decider`."""
        entry, host = None, self._host(head)
        if refusal.code in OF_THE_PLATFORM and (cookie := self._desk.session_cookie(head)):
            entry = self._desk.sessions.cached(cookie)
            if is_page_load(head):
                self._landing.unanswered(session_name(cookie), refusal)
        return self.refusals.answer(
            head,
            refusal,
            tenant=entry.tenant if entry else None,
            host=host,
            user_id=entry.row.user_id if entry else None,
            links=self._links(head, refusal),
        )

    async def standing(self, sessions: Collection[str]) -> Mapping[str, float]:
        """See `bridge.exchange.Decider`."""
        return await self._desk.sessions.standing(sessions)

    def _decide(self, head: Head) -> Decision | Awaitable[Decision]:
        rules = self.rules
        place, path = rules.places.at(head.get(b"host")), head.path
        if place is None:
            return self._elsewhere(head)
        if name := self._policy.ambiguous(head):
            raise Refusal(Code.HEADERS_AMBIGUOUS, f"the header {name[:64]!r} could be read as one of the bridge's own")
        if rules.former_acs and (place.origin, path) in rules.former_acs:
            return self._bridge or _not_mounted()
        match = rules.paths.decide_path(path)
        if match.access == "bridge":
            return self._bridge or _not_mounted()
        met = met_by(head, match, place, rules.configuration.service.completions) if match.completions else None
        if match.access == "public":
            return self._reported(head, place, met) if met else self._for_nobody("public")
        course = queries.course(match, head.method, head.query)
        cookie = self._desk.session_cookie(head)
        entry = self._desk.sessions.cached(cookie) if cookie else None
        if (
            entry
            and _belongs(entry, place)
            and (forward := entry.forwards.get(course))
            and (entry.launch is None or not self._landing.awaited(head, entry, course))
        ):
            return self._switch(head, place, entry) or self._watched(forward, head, entry, course, met)
        return self._look_up(head, place, match, course, met)

    async def _look_up(self, head: Head, place: Place, match: Match, course: str | None, met: Met | None) -> Decision:
        entry, begun = None, time.monotonic()
        try:
            try:
                entry = await self._desk.session(head)
                if entry is None or not _belongs(entry, place):
                    entry = None
                    return self._for_nobody("anonymous") if match.access == "optional" else self._log_in(head, place)
                if asked := self._switch(head, place, entry):
                    return asked
                begun = time.monotonic()
                return await self._let_in(head, entry, course, met, begun)
            except StateError as error:
                raise Refusal(Code.USER_UNKNOWN, str(error)) from error
        except Refusal as refusal:
            return Answer(await self._refuse_learner(head, refusal, entry, course, begun))

    async def _let_in(self, head: Head, entry: Entry, course: str | None, met: Met | None, begun: float) -> Forward:
        forward = self._watched(await self._admit(entry, course), head, entry, course, met)
        if not self._landing.awaited(head, entry, course):
            return forward
        access = entry.accesses.get(course) if course is not None else None
        return self._landing.let_in(entry, forward, access, _since(begun))

    async def _admit(self, entry: Entry, course: str | None) -> Forward:
        entry.confirm()
        forward = entry.forwards.get(course)
        if forward is None:
            access = None if course is None else await self._enter(entry, course)
            person = learner(entry)
            if len(entry.forwards) >= COURSES_REMEMBERED:
                entry.forwards.clear()
                entry.accesses.clear()
            if access:
                entry.accesses[access.course] = access
            forward = entry.forwards[course] = Forward(
                self._stamp.block(person, access),
                personal=True,
                until=entry.until,
                witness=self._completions.witness(entry, course),
                session=entry.row.digest,
                whose="learner" if access is None else "course",
                logged=logged(person, access),
            )
        return forward

    async def _enter(self, entry: Entry, course: str) -> Access:
        access = await self._gate.check(entry.tenant, entry.person, course)
        self._waiting.admitted(entry, course)
        self._audit.let_in(entry, access)
        return access

    def _watched(self, forward: Forward, head: Head, entry: Entry, course: str | None, met: Met | None) -> Forward:
        """What is decided for a session and a course is kept; a witness may belong to the request alone."""
        if met is None and entry.tenant.on_launch == "nothing":
            return forward
        return self._completions.watched(forward, entry, course, head, met)

    async def _reported(self, head: Head, place: Place, met: Met) -> Decision:
        """A completion rule on a public route: the platform is told nobody, and the session says whose it is."""
        forward = self._for_nobody("public")
        try:
            entry = await self._desk.session(head)
            if entry is None or not _belongs(entry, place):
                return forward
            entry.confirm()
        except StateError as error:
            return Answer(self.refuse(head, Refusal(Code.USER_UNKNOWN, str(error))))
        except Refusal as refusal:
            return Answer(self.refuse(head, refusal))
        return self._watched(forward, head, entry, None, met)

    def _log_in(self, head: Head, place: Place) -> Decision:
        """Only a page load is ever sent to a login, and always on the origin that has the tenant's ACS."""
        here = deep_link(head.target)
        if not is_page_load(head):
            if fills_frame(head):
                return Answer(self.doorway.break_out(head, here, place.tenant))
            raise Refusal(Code.LOGIN_REQUIRED, "no live session, and not a page load")
        discovered = self.rules.discover(head, place)
        if discovered is None:
            return Answer(self.doorway.ask(head, here))
        tenant, found = discovered
        origin = self.rules.configuration.login_origin(tenant)
        if origin != place.origin:
            return Answer(redirect(origin + here, 307))
        return Answer(self.doorway.begin(head, tenant, here, found))

    def _switch(self, head: Head, place: Place, entry: Entry) -> Answer | None:
        """A link of another tenant asks first: a live session's tenant stays the tenant until the learner says
        otherwise.
        """
        if place.tenant or b"?" not in head.target or not is_page_load(head):
            return None
        wanted = self.rules.named(head)
        if wanted is None or wanted.slug == entry.tenant.slug:
            return None
        here = deep_link(head.target)
        if self.rules.keeps_fragments:
            return Answer(self.doorway.keep_fragment(head, wanted, here, "link"))
        return Answer(self.ask_to_switch(head, entry, wanted, here))

    def ask_to_switch(self, head: Head, entry: Entry, wanted: Tenant, next: str) -> Response:
        """The page that asks before a session is replaced; a form must not be framed, so in a frame the way out."""
        if is_framed(head):
            return self.doorway.break_out(head, self.doorway.same_link(head, wanted, next), entry.tenant)
        page = self._desk.pages.of(entry.tenant).switch(
            current=entry.tenant.name,
            other=wanted.name,
            action=self.rules.login_url(wanted),
            stay="/",
            fields={"next": next},
            language=language(head),
        )
        return respond(page)

    def _elsewhere(self, head: Head) -> Decision:
        if not is_page_load(head):
            raise Refusal(Code.HOST_UNKNOWN, "the Host header names none of our hosts")
        return Answer(redirect(self.rules.configuration.service.public_url + quoted(head.target), 307))

    async def _refuse_learner(
        self, head: Head, refusal: Refusal, entry: Entry | None, course: str | None, begun: float
    ) -> Response:
        wait = None
        if entry and not head.rehearsal:
            if self._landing.awaited(head, entry, course):
                self._landing.refused(entry, refusal, course, _since(begun))
            if course and refusal.code is Code.NOT_ENROLLED:
                wait = await self._waiting.refused(entry, course, refusal.reference)
        return self.refusals.answer(
            head,
            refusal,
            reference=wait.reference if wait else None,
            tenant=entry.tenant if entry else None,
            host=self._host(head),
            user_id=entry.row.user_id if entry else None,
            course=course,
            again=wait is not None and wait.again,
            links=self._links(head, refusal),
            look_again_after=wait.seconds if wait else None,
            usual=wait.usual if wait else None,
        )

    def _host(self, head: Head) -> Tenant | None:
        """Whose pages a browser expects: those of the host's tenant, or of its session's."""
        place = self.rules.places.at(head.get(b"host"))
        if place and place.tenant:
            return place.tenant
        cookie = self._desk.session_cookie(head)
        entry = self._desk.sessions.cached(cookie) if cookie else None
        return entry.tenant if entry else None

    def _links(self, head: Head, refusal: Refusal) -> RefusalLinks:
        """Whatever may be asked again without changing anything leads to itself, a form that came late to its page."""
        retry = refusal.retry
        if retry is None and is_page_load(head):
            retry = deep_link(head.target)
        elif retry is None and refusal.code is Code.LOGIN_REQUIRED:
            retry = self._page_before(head)
        return RefusalLinks(retry, organizations=ORGANIZATIONS if refusal.code is Code.TENANT_UNKNOWN else None)

    def _page_before(self, head: Head) -> str | None:
        """The page of ours from which a request was made, if the browser says so."""
        place, referer = self.rules.places.at(head.get(b"host")), head.get(b"referer")
        return relay_target(quoted(referer), place.origin) if place and referer else None

    def _for_nobody(self, whose: Whose) -> Forward:
        """Forwarded with every identity header empty but the signed assertion, which says that nobody is there."""
        made, forward = self._nobody.get(whose, _NEVER)
        if time.monotonic() - made > ANONYMOUS_SECONDS or not forward.identity:
            forward = Forward(self._stamp.block(None), whose=whose)
            self._nobody[whose] = (time.monotonic(), forward)
        return forward


def _belongs(entry: Entry, place: Place) -> bool:
    """On a tenant's own host, only that tenant's sessions count."""
    return place.tenant is None or place.tenant.slug == entry.tenant.slug


def _since(begun: float) -> int:
    """Milliseconds since a moment of `time.monotonic`."""
    return round((time.monotonic() - begun) * 1000)


def _not_mounted() -> Answer:
    raise RuntimeError("the application under /_bridge/ has not been mounted")
