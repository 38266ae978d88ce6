"""What the IdP said instead of logging somebody in, what is no answer at all, and answers that came twice."""

from __future__ import annotations

from bridge.explain.cases.failed import Cases, Failed
from bridge.explain.change import Change
from bridge.printable import capitalized

_STATUS = "urn:oasis:names:tc:SAML:2.0:status:"
_MEANINGS = {
    "AuthnFailed": "the learner could not sign in at the IdP. Only its own log says why",
    "NoAuthnContext": "the IdP has no way of logging in of the kind that it was asked for. The bridge asks for none, so"
    " a rule of the IdP's does: let the customer's IT look at the authentication policy of this application",
    "NoPassive": "the IdP would have had to show a page and thought that it must not. The bridge never asks for that:"
    " let the customer's IT look at the policy of this application",
    "RequestDenied": "the IdP refused, mostly because the learner is not assigned to this application: let the"
    " customer's IT assign the user, or their group",
    "InvalidNameIDPolicy": "the IdP cannot make a NameID of the format that is configured: let the customer's IT choose"
    " another format for this application, such as unspecified or persistent",
    "UnknownPrincipal": "the IdP does not know the learner: let the customer's IT assign the user to this application",
    "RequestUnsupported": "the IdP does not take requests of this kind: let the customer's IT look at how this"
    " application is set up, by SAML 2.0 with HTTP-Redirect",
    "UnsupportedBinding": "the IdP cannot answer by HTTP-POST: let the customer's IT choose that binding for our ACS",
    "PartialLogout": "a logout came through in part only; this is no answer to a login",
    "ProxyCountExceeded": "too many IdPs stand behind one another: let the customer's IT look at how they hand"
    " on logins",
}
_FIRST = {
    "Requester": "the IdP thinks that our request is at fault: mostly it does not know our entity ID or ACS URL, or it"
    " wants requests to be signed (`saml.sign_requests: true`). Let the customer's IT look at its log, and import our"
    " metadata once more",
    "Responder": "something went wrong inside of the IdP: let the customer's IT look at its log at that moment. At ADFS"
    " it is mostly a claim rule, or a certificate that it cannot check",
    "VersionMismatch": "the IdP does not speak SAML 2.0 with us: let the customer's IT set this application up anew",
}


def status(failed: Failed) -> Change:
    """The second code is the reason, where the IdP gives one (SAML core 3.2.2.2)."""
    codes = [code.removeprefix(_STATUS) for code in failed.found]
    meant = next((_MEANINGS[code] for code in codes if code in _MEANINGS), None)
    first = next((_FIRST[code] for code in codes if code in _FIRST), None)
    said = (
        meant or first or "the code is none of SAML's own: let the customer's IT look at the IdP's log at that moment"
    )
    where = "" if "metadata" not in said else f" ({failed.metadata_url})"
    known = next((code for code in reversed(codes) if code in _MEANINGS or code in _FIRST), "other")
    return Change(
        f"status_{known.lower()}",
        "idp",
        f"The IdP did not log the learner in; its status is {' / '.join(codes) or 'missing'}: {said}{where}.",
    )


def no_response(failed: Failed) -> Change:
    saved = (
        " Save the SAMLResponse that the browser posts to our ACS: its base64, or the XML within."
        if failed.judged
        else " If no such address was entered by mistake, look at what else posts to the ACS."
    )
    return Change(
        "no_response",
        "idp",
        f"{capitalized(failed.reason)}. What came is no SAML 2.0 response by HTTP-POST.{saved}",
    )


def unasked(failed: Failed) -> Change:
    if failed.tenant.saml.idp_initiated:
        return Change(
            "stolen_answer",
            "nobody",
            "The response answers a login that this browser did not begin, or no longer has. From a second tab or the"
            " back button the learner only has to open the link again; an IdP that answers so each time has to leave"
            " InResponseTo out where nobody asked.",
        )
    return Change(
        "answers_another_login",
        "nobody",
        "The response answers another login than the one under way: a second tab, or the back button. The learner opens"
        " the link again. Should it happen each time, the IdP copies InResponseTo from somewhere else than our"
        " request.",
    )


def used_before(failed: Failed) -> Change:
    return Change(
        "used_before",
        "nobody",
        "The same assertion had let somebody in before: it was posted twice, by a reload or a double click, or by"
        " somebody who got hold of it. The learner opens the link again. Should it happen each time, the IdP reuses the"
        " IDs of its assertions, which it must not.",
    )


def logged_out(failed: Failed) -> Change:
    return Change(
        "logged_out",
        "nobody",
        "The IdP had logged this person out after it issued the assertion. The learner signs in again.",
    )


def name_id(failed: Failed) -> Change:
    return Change(
        "name_id_unusable",
        "idp",
        f"{capitalized(failed.reason)}. Let the customer's IT map another field to the NameID.",
    )


def profile(failed: Failed) -> Change:
    """Whatever no other case knows."""
    return Change(
        "not_the_profile",
        "idp",
        f"{capitalized(failed.reason)}. The rule is `{failed.check}` in docs/saml.md, which says"
        " where it comes from. Let the customer's IT set the application up as SAML 2.0 Web Browser SSO, with our"
        " metadata:"
        f"\n  {failed.metadata_url}",
    )


_MALFORMED = ("size", "base64", "encoding", "doctype", "xml", "elements", "depth", "attributes", "namespaces", "root")

CASES: Cases = {
    "status": (status,),
    **dict.fromkeys(_MALFORMED, (no_response,)),
    **dict.fromkeys(("unsolicited", "in_response_to"), (unasked,)),
    "replay": (used_before,),
    "logged_out": (logged_out,),
    **dict.fromkeys(("name_id_characters", "name_id_length", "name_id_format"), (name_id,)),
}
