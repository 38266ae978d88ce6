"""`/admin` on the internal listener: who may ask, and what is answered.

/admin                       every tenant at a glance, and the service
/admin/tenants/{tenant}      one tenant
/admin/launches              launches by tenant, outcome and time; `?reference=` leads to one
/admin/launches/{reference}  all that was given a reference
/admin/outbox                writes to Kombo that gave up or wait
/admin/keys                  keys and certificates
/admin/refusals              what each refusal means, and what to do
/admin/sign-in, sign-out     the only two that take a POST
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from bridge.admin import looks
from bridge.admin.access import PATH, Access, next_path
from bridge.admin.hosts import Hosts
from bridge.admin.reading import Reader
from bridge.admin.views import Views
from bridge.errors import Code, Refusal, StateError
from bridge.exchange import Head
from bridge.front.attempts import Attempts
from bridge.front.bearer import CHALLENGE
from bridge.front.refusals import redirect
from bridge.front.requests import head_of, parse_form, wants_page
from bridge.launches.history import PURPOSE
from bridge.pages import MEDIA_TYPE, problem, reference
from bridge.settings.model import Configuration
from bridge.store.engine import Store
from bridge.store.sealing import Seal

RETRY_SECONDS = 5

View = Callable[[Request, Mapping[str, str]], Awaitable[Response]]


class Admin:
    """Answers everything under `PATH`."""

    def __init__(self, access: Access, hosts: Hosts, views: Views) -> None:
        self._access = access
        self._hosts = hosts
        self._router = Router(
            [
                Route(f"{PATH}/sign-in", self._sign_in, methods=["GET", "POST"]),
                Route(f"{PATH}/sign-out", self._sign_out, methods=["POST"]),
                Route(PATH, self._guarded(views.overview)),
                Route(f"{PATH}/tenants/{{tenant}}", self._guarded(views.tenant)),
                Route(f"{PATH}/launches", self._guarded(views.launches)),
                Route(f"{PATH}/launches/{{reference}}", self._guarded(views.launch)),
                Route(f"{PATH}/outbox", self._guarded(views.outbox)),
                Route(f"{PATH}/keys", self._guarded(views.keys)),
                Route(f"{PATH}/refusals", self._guarded(views.refusals)),
                Route("/{rest:path}", self._guarded(views.nothing)),
            ],
            redirect_slashes=False,
        )

    @classmethod
    def of(
        cls,
        store: Store,
        token: str,
        attempts: Attempts,
        current: Callable[[], Configuration],
        workers: Callable[[], int],
    ) -> Admin:
        """For a deployment with an `internal_token`; see `Access` and `Views`."""
        service = current().service
        secrets = [secret.get_secret_value() for secret in service.secrets]
        hosts = Hosts(service.internal_hosts, service.internal_listen.host)
        views = Views(Reader(store), current, Seal(secrets, PURPOSE), workers)
        return cls(Access(token, secrets, attempts), hosts, views)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """To be mounted in an application beside others."""
        return Route(PATH, self), Mount(PATH, self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The host is looked at before anything else, and every answer has the headers of `looks`."""
        own = {name: value for name, value in scope.items() if name != "app"} | {"root_path": ""}
        send, head = looks.with_headers(send), head_of(Request(scope))
        try:
            self._hosts.check(head, scope)
            await self._router(own, receive, send)
        except Refusal as refusal:
            await _refused(head, refusal)(scope, receive, send)
        except StateError as error:
            await _unavailable(head, error)(scope, receive, send)
        except ClientDisconnect:
            await Response(None, 400)(scope, receive, send)  # which nobody reads

    def _guarded(self, view: View) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            head = head_of(request)
            await self._access.admit(head)
            query: dict[str, str] = {}
            for name, value in parse_form(head.query, Code.REQUEST_MALFORMED):
                query.setdefault(name, value)
            return await view(request, query)

        return answer

    async def _sign_in(self, request: Request) -> Response:
        if request.method != "POST":
            return redirect(PATH)
        target, cookie = await self._access.sign_in(request, head_of(request))
        return redirect(target, headers=[cookie])

    async def _sign_out(self, request: Request) -> Response:
        return redirect(PATH, headers=[self._access.sign_out(head_of(request))])


def _refused(head: Head, refusal: Refusal) -> Response:
    """The sign-in form where that would help and somebody looks at it; else a sentence, or a problem document."""
    own = {"Bridge-Error": str(refusal.code)}
    if refusal.status == 401:
        own |= dict([CHALLENGE])
    if refusal.status == 429:
        own["Retry-After"] = str(RETRY_SECONDS)
    if not wants_page(head):
        return _problem(refusal.code, refusal.status, refusal.reason, own)
    if refusal.code is not Code.LOGIN_REQUIRED:
        return looks.answer("sentence.html", {"title": "Refused", "says": f"{refusal.reason}."}, refusal.status, own)
    tried = head.method == b"POST"
    values = {
        "next": next_path(head.target.decode("latin-1")) if not tried else PATH,
        "says": f"{refusal.reason[:1].upper()}{refusal.reason[1:]}." if tried or refusal.status == 429 else None,
    }
    return looks.answer("sign_in.html", values, refusal.status, own)


def _unavailable(head: Head, error: StateError) -> Response:
    own = {"Retry-After": str(RETRY_SECONDS)}
    if wants_page(head):
        values = {"title": "The state cannot be read", "says": f"Just now, {error}."}
        return looks.answer("sentence.html", values, 503, own)
    return _problem(Code.USER_UNKNOWN, 503, str(error), own)


def _problem(code: Code, status: int, detail: str, headers: Mapping[str, str]) -> Response:
    return Response(problem(code, reference(), status, detail=detail), status, headers, media_type=MEDIA_TYPE)
