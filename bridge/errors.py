"""Every error that the bridge raises on purpose.

    BridgeError                 one sentence for the operator
    ├── SettingsError           bridge.yaml or a tenant file; carries every problem found, each with file and line
    ├── MetadataError           an IdP's metadata that cannot be used
    ├── Refusal                 a request that gets no further; carries the contract's code and HTTP status
    │   └── SamlRefusal         … because of its SAML message; carries the check that failed
    ├── KomboError              Kombo's answer to a call, or its absence
    │   ├── KomboUnavailable    no usable answer: timeout, connection, 5xx, 429, a body that is not Kombo's
    │   └── KomboRefused        Kombo answered with an error that asking again will not change
    └── StateError              the store cannot be used as it is (wrong secrets, newer schema) or not be reached

Errors that never leave the room which raises them are defined there. An error is raised where the cause is known, with
what the operator needs to act on it in `str(error)`. What a learner may read depends on nothing but the code: the texts
are in `bridge/pages`. Pages, problem documents and log lines are made from a refusal in one place,
`bridge.front.refusals`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BridgeError(Exception):
    """Base of the tree; `str()` is one sentence for the operator, safe to log."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a settings file; `line` counts from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class SettingsError(BridgeError):
    """Settings that cannot be used. `problems` holds every one found, in the order of the file."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


class MetadataError(BridgeError):
    """An IdP's metadata that cannot be used; the sentence says what its administrator has to change."""


class StateError(BridgeError):
    """The store cannot be used as it is, or could not be read or written."""


class Code(StrEnum):
    """The contract's refusal codes (section 6)."""

    LOGIN_REQUIRED = "login_required"
    TENANT_UNKNOWN = "tenant_unknown"
    TENANT_UNAVAILABLE = "tenant_unavailable"
    SAML_REJECTED = "saml_rejected"
    SAML_MALFORMED = "saml_malformed"
    LOGIN_EXPIRED = "login_expired"
    IDENTIFIER_MISSING = "identifier_missing"
    USER_UNMATCHED = "user_unmatched"
    USER_AMBIGUOUS = "user_ambiguous"
    USER_INACTIVE = "user_inactive"
    USER_UNKNOWN = "user_unknown"
    COURSE_UNKNOWN = "course_unknown"
    NOT_ENROLLED = "not_enrolled"
    ENROLLMENT_UNKNOWN = "enrollment_unknown"
    PATH_AMBIGUOUS = "path_ambiguous"
    HEADERS_AMBIGUOUS = "headers_ambiguous"
    REQUEST_MALFORMED = "request_malformed"
    HOST_UNKNOWN = "host_unknown"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    UPSTREAM_TIMEOUT = "upstream_timeout"

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return _STATUS[self]


_STATUS = {
    Code.LOGIN_REQUIRED: 401,
    Code.TENANT_UNKNOWN: 404,
    Code.TENANT_UNAVAILABLE: 503,
    Code.SAML_REJECTED: 403,
    Code.SAML_MALFORMED: 400,
    Code.LOGIN_EXPIRED: 403,
    Code.IDENTIFIER_MISSING: 403,
    Code.USER_UNMATCHED: 403,
    Code.USER_AMBIGUOUS: 403,
    Code.USER_INACTIVE: 403,
    Code.USER_UNKNOWN: 503,
    Code.COURSE_UNKNOWN: 404,
    Code.NOT_ENROLLED: 403,
    Code.ENROLLMENT_UNKNOWN: 503,
    Code.PATH_AMBIGUOUS: 400,
    Code.HEADERS_AMBIGUOUS: 400,
    Code.REQUEST_MALFORMED: 400,
    Code.HOST_UNKNOWN: 421,
    Code.UPSTREAM_UNAVAILABLE: 502,
    Code.UPSTREAM_TIMEOUT: 504,
}


class Refusal(BridgeError):
    """A request that gets no further.

    `reason` is for the operator's log and never reaches the learner. `status` differs from the code's own only where
    HTTP has a more exact one (413, 414, 431 for `request_malformed`). `retry` is where the learner's page may lead to
    try again. `reference` is that of the launch which it ended, where one tells of it already.
    """

    def __init__(self, code: Code, reason: str, *, status: int | None = None, retry: str | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.status = status or code.status
        self.retry = retry
        self.reference: str | None = None


class SamlRefusal(Refusal):
    """A SAML message that did not pass; `check` is the name of the rule that it failed, as docs/saml.md has it.

    `found` is what stood in the message instead, where the rule compares: for whoever compares it with more than the
    rule did. It says nothing of the person.
    """

    def __init__(self, code: Code, check: str, reason: str, found: tuple[str, ...] = ()) -> None:
        super().__init__(code, reason)
        self.check = check
        self.found = found


class KomboError(BridgeError):
    """Kombo's answer to a call, or its absence."""


class KomboUnavailable(KomboError):
    """No usable answer; the same call may succeed later, `retry_after` seconds from now if Kombo said so."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class KomboRefused(KomboError):
    """Kombo answered with an error. `kombo_code` is an open string (`INTEGRATION.PERMISSION_MISSING`), or empty.

    `message` is Kombo's own sentence. It may repeat what was asked and so name a person: for the operator who looks at
    that very write, never for the log.
    """

    def __init__(self, reason: str, *, status: int, kombo_code: str = "", message: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.kombo_code = kombo_code
        self.message = message
