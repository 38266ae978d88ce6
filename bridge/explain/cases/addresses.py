"""Names and addresses: who sent the response, for whom it is, and where it was to be posted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bridge.explain.cases.failed import Cases, Failed, listed, quoted
from bridge.explain.change import Change
from bridge.settings.files import shown
from bridge.settings.model import Tenant


def issuer_of_another_tenant(failed: Failed) -> Change | None:
    other = _whose(failed, lambda tenant: [tenant.provider.entity_id])
    if other is None:
        return None
    return Change(
        "issuer_of_another_tenant",
        "link",
        f"The response comes from the IdP of the tenant {other.slug}, {quoted(other.provider.entity_id)}, and was"
        " posted to this tenant's ACS. Check the link by which the learner came (its tenant), and the ACS URL that the"
        f" IdP's administrators entered: for {other.slug} it is {other.party.requested_acs}.",
    )


def another_issuer(failed: Failed) -> Change:
    ours, source = failed.tenant.provider.entity_id, failed.tenant.saml.metadata
    slight = "".join(f" ({said})" for each in failed.found[:1] if (said := difference(each, ours)))
    if isinstance(source, Path):
        renew = f"let the customer's IT export it again, and put it in the place of {shown(source)}"
    else:
        renew = f"run `kombo-bridge metadata refresh --tenant {failed.tenant.slug}`, and then `metadata accept`"
    return Change(
        "another_issuer",
        "bridge",
        f"The response names {listed(failed.found)} as its Issuer{slight}, the metadata {quoted(ours)}. Ask the"
        " customer's IT which IdP it means. If that one is right, the metadata is of another application or an older"
        f" IdP: {renew}.",
    )


def audience_of_another_tenant(failed: Failed) -> Change | None:
    other = _whose(failed, lambda tenant: [tenant.party.entity_id])
    if other is None:
        return None
    return Change(
        "audience_of_another_tenant",
        "idp",
        f"The response is for the tenant {other.slug}: its Audience is that tenant's entity ID. Let the customer's IT"
        f" enter this tenant's instead, as Audience, Identifier or Entity ID:\n  {failed.tenant.party.entity_id}",
    )


def audience_is_an_address(failed: Failed) -> Change | None:
    if not {failed.tenant.party.acs, failed.tenant.party.former_acs} & set(failed.found):
        return None
    return Change(
        "audience_is_the_acs",
        "idp",
        "The IdP has our ACS URL as Audience, where our entity ID belongs. Let the customer's IT enter, as Audience,"
        f" Identifier or Entity ID:\n  {failed.tenant.party.entity_id}",
    )


def audience_nearly_ours(failed: Failed) -> Change | None:
    ours = failed.tenant.party.entity_id
    for found in failed.found:
        if said := difference(found, ours):
            return Change(
                "audience_nearly_ours",
                "idp",
                f"The Audience is {quoted(found)}; {said}. Let the customer's IT enter it exactly, as Audience,"
                f" Identifier or Entity ID:\n  {ours}",
            )
    return None


def audience_of_an_older_sp(failed: Failed) -> Change | None:
    if len(failed.found) != 1 or not failed.would_help(sp_entity_id=failed.found[0]):
        return None
    return Change(
        "audience_of_an_older_sp",
        "idp",
        f"The response is for {listed(failed.found)}. Let the customer's IT enter our entity ID as Audience, Identifier"
        f" or Entity ID:\n  {failed.tenant.party.entity_id}\nIf its IdP already trusts an older service of yours by"
        " that name, and is to be left as it is, write instead what stands below.",
        failed.write(("saml", "sp_entity_id"), failed.found[0]),
    )


def another_audience(failed: Failed) -> Change:
    return Change(
        "another_audience",
        "idp",
        f"The response is for {listed(failed.found)}. Let the customer's IT enter our entity ID as Audience, Identifier"
        f" or Entity ID:\n  {failed.tenant.party.entity_id}",
    )


def address_of_another_tenant(failed: Failed) -> Change | None:
    other = _whose(failed, lambda tenant: [tenant.party.acs])
    if other is None:
        return None
    return Change(
        "acs_of_another_tenant",
        "idp",
        f"The response was made for the ACS URL of the tenant {other.slug}. Let the customer's IT enter this tenant's"
        f" instead, as ACS, Reply or Single sign-on URL:\n  {failed.tenant.party.requested_acs}",
    )


def address_of_an_older_sp(failed: Failed) -> Change | None:
    """One on our own origin that is nobody's: the ACS of what stood there before."""
    origin = failed.tenant.party.acs.partition("/_bridge/")[0]
    for found in failed.found:
        if found.startswith(f"{origin}/") and "/_bridge/" not in found and failed.would_help(sp_acs=found):
            return Change(
                "acs_of_an_older_sp",
                "idp",
                f"The response was made for {quoted(found)}. Let the customer's IT enter this tenant's ACS URL instead:"
                f"\n  {failed.tenant.party.acs}\nIf that was the ACS of an older service of yours, and the IdP is to be"
                " left as it is, write instead what stands below.",
                failed.write(("saml", "sp_acs"), found),
            )
    return None


def another_address(failed: Failed) -> Change:
    ours = failed.tenant.party.requested_acs
    slight = "".join(f"; {said}" for each in failed.found[:1] if (said := difference(each, ours)))
    public = ""
    if slight and any(urlsplit(each).path == urlsplit(ours).path for each in failed.found[:1]):
        public = (
            " If learners do reach the bridge at that address, `public_url` (or the tenant's `hosts`) is wrong: it"
            f" says {failed.configuration.login_origin(failed.tenant)}."
        )
    return Change(
        "another_acs",
        "idp",
        f"The response was made for {listed(failed.found)}{slight}. Let the customer's IT enter, as ACS, Reply or"
        f" Single sign-on URL:\n  {ours}{public and chr(10) + public.strip()}",
    )


def difference(found: str, ours: str) -> str | None:
    """How little two addresses differ; None where they have nothing in common."""
    if found.strip() == ours:
        return "only blanks around it differ"
    if found.rstrip("/") == ours.rstrip("/"):
        return "only a slash at its end differs"
    if found.lower() == ours.lower():
        return "only upper and lower case differ"
    one, two = _split(found), _split(ours)
    if one is None or two is None:
        return None
    if one[1:] == two[1:]:
        return f"only http and https differ (ours is {two[0]})"
    if one[2] == two[2] and len(two[2]) > 1:
        return f"only the host differs (ours is {two[0]}://{two[1]})"
    return None


def _split(url: str) -> tuple[str, str, str] | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return (parts.scheme, parts.netloc, parts.path) if parts.netloc else None


def _whose(failed: Failed, values: Callable[[Tenant], Sequence[str | None]]) -> Tenant | None:
    """The other tenant that has one of the found values; never one that has the same as this one."""
    own = set(values(failed.tenant))
    found = set(failed.found) - own
    return next((tenant for tenant in failed.others if found & set(values(tenant))), None)


_ADDRESS = (address_of_another_tenant, address_of_an_older_sp, another_address)

CASES: Cases = {
    "issuer": (issuer_of_another_tenant, another_issuer),
    "audience": (
        audience_of_another_tenant,
        audience_is_an_address,
        audience_nearly_ours,
        audience_of_an_older_sp,
        another_audience,
    ),
    "destination": _ADDRESS,
    "recipient": _ADDRESS,
}
