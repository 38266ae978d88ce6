"""What Kombo's error codes mean for whoever runs the bridge. Kombo's codes are open: most of them are not here."""

from __future__ import annotations

_MEANINGS = {
    "INTEGRATION.ACTION_NOT_AVAILABLE": "Kombo does not offer this for the customer's LMS: do it in the LMS itself",
    "INTEGRATION.ACTION_DISABLED": "it is switched off in the integration's scope in Kombo",
    "INTEGRATION.PERMISSION_MISSING": "the customer's LMS does not let the connection do this: its administrator must"
    " allow it",
    "INTEGRATION.AUTHENTICATION_INVALID": "the customer's LMS does not accept the connection any more: have it linked"
    " again",
    "INTEGRATION.INACTIVE": "the integration is switched off in Kombo",
    "INTEGRATION.SETUP_INCOMPLETE": "the customer has not finished connecting the LMS",
    "INTEGRATION.SETUP_SYNC_PENDING": "Kombo has yet to read the LMS for the first time: try again later",
    "INTEGRATION.QA_FAILED": "Kombo's own review of the integration failed: ask Kombo",
    "LMS.COURSE_UPDATE_NOT_SUPPORTED": "the LMS takes no changes of a course: change it there",
    "PLATFORM.AUTHENTICATION_INVALID": "Kombo does not know `kombo.api_key`",
    "PLATFORM.IP_NOT_WHITELISTED": "`kombo.api_key` is not for calls from this address",
    "PLATFORM.INTEGRATION_NOT_FOUND": "Kombo does not know `kombo.integration_id`, or the key is another environment's",
    "PLATFORM.TASK_TIMED_OUT": "Kombo or the LMS took too long",
}


def meaning(code: str | None) -> str | None:
    """One clause for an operator; None for a code that says all there is, or that we do not know."""
    return _MEANINGS.get(code or "")
