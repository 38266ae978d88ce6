"""Signatures, certificates and encryption: whom the bridge has to trust, and who signed instead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bridge.explain.cases.failed import Cases, Failed
from bridge.explain.change import Change
from bridge.printable import capitalized
from bridge.saml.fingerprints import of_certificate
from bridge.saml.keys import certificate_end
from bridge.settings.files import shown
from bridge.settings.model import Tenant


def another_tenants_certificate(failed: Failed) -> Change | None:
    for other in failed.others:
        if set(_shown(failed)) & set(_trusted(other)):
            return Change(
                "certificate_of_another_tenant",
                "link",
                f"The response shows a certificate that the metadata of the tenant {other.slug} has, so it comes from"
                f" that customer's IdP. Check the link by which the learner came, and the ACS URL that the IdP's"
                f" administrators entered: this tenant's is {failed.tenant.party.acs}.",
            )
    return None


def certificate_changed(failed: Failed) -> Change | None:
    """Never a reason to trust the certificate that the message brings: only the customer can vouch for it."""
    shown_ = _shown(failed)
    if not shown_ or set(shown_) & set(_trusted(failed.tenant)):
        return None
    return Change(
        "certificate_changed",
        "bridge",
        f"The IdP signs with another certificate than its metadata has, which is what happens when it was renewed."
        f" SHA-256 fingerprints:\n"
        f"  in the response:  {shown_[0]}\n"
        f"{_in_metadata(failed.tenant)}"
        f"{_refresh(failed)} Ask the customer's IT to confirm the new fingerprint: anybody can put a certificate into a"
        f" response, so that this one proves nothing.",
    )


def key_of_the_same_certificate(failed: Failed) -> Change | None:
    if not set(_shown(failed)) & set(_trusted(failed.tenant)):
        return None
    return Change(
        "signature_broken",
        "idp",
        "The response shows the very certificate that the metadata has, yet its signature does not fit that key: the"
        " IdP signs with a private key that does not belong to its certificate, or whoever wrote the response has not"
        " got it. Let the customer's IT install the pair of key and certificate anew.",
    )


def unknown_certificate(failed: Failed) -> Change:
    return Change(
        "signed_by_another_key",
        "bridge",
        f"No certificate of the IdP's metadata fits the signature, and the response does not say which one would."
        f" SHA-256 fingerprints:\n{_in_metadata(failed.tenant)}{_refresh(failed)}",
    )


def changed_after_signing(failed: Failed) -> Change:
    saved = " If it was saved from a viewer that indents XML, save the raw form field instead." if failed.judged else ""
    return Change(
        "changed_after_signing",
        "idp",
        "What was signed is not what arrived: something rewrote the response on its way, such as a proxy of the"
        f" customer's, or a plugin of the IdP's that adds to it after signing.{saved} Let the customer's IT find what"
        " changes it.",
    )


def signed_setting(failed: Failed) -> Change | None:
    there, wanted = failed.found, failed.tenant.saml.signed
    if not there or wanted == "any":
        return None
    signs = f"the {' and the '.join(there)}, while `saml.signed: {wanted}` asks for more."
    if not failed.would_help(signed="any"):
        return Change(
            "signed_setting",
            "idp",
            f"What came claims to be signed in {signs} Let the customer's IT sign both at its IdP."
            f" {_nobody_vouches(failed)}",
        )
    return Change(
        "signed_setting",
        "bridge",
        f"The IdP signs {signs} `any` is as safe: each of the two signatures covers the assertion.",
        failed.write(("saml", "signed"), "any"),
    )


def not_signed(failed: Failed) -> Change:
    return Change(
        "not_signed",
        "idp",
        "The IdP signs nothing. Let the customer's IT switch the signing of assertions on for this application; no"
        " setting of the bridge takes an unsigned one.",
    )


def sha1(failed: Failed) -> Change:
    later = ""
    write = None
    if failed.would_help(accept_sha1=True):
        write = failed.write(("saml", "accept_sha1"), True)
        later = " Only for an IdP that can make no others, write what stands below: forging one is affordable today."
    else:
        later = f" {_nobody_vouches(failed)}"
    return Change(
        "sha1",
        "idp",
        "What came is signed with SHA-1. Let the customer's IT set the signature algorithm to RSA with SHA-256."
        f"{later}",
        write,
    )


def encrypted_for_another_key(failed: Failed) -> Change:
    ours = [of_certificate(key.certificate_pem) for key in failed.keys]
    theirs = failed.said.encrypted_for if failed.said else ()
    compared = ""
    if theirs:
        compared += f"\n  it encrypts for:  {theirs[0]}"
    compared += "".join(f"\n  ours is:          {each}" for each in ours)
    return Change(
        "encrypted_for_another_key",
        "idp",
        "The IdP encrypts for a certificate whose key the bridge does not have"
        + (f". SHA-256 fingerprints:{compared}\n" if compared else ". ")
        + f"Let the customer's IT import our metadata once more, from {failed.metadata_url}, or switch the encryption"
        " of assertions off; TLS protects them as well.",
    )


def cbc(failed: Failed) -> Change:
    return Change(
        "encrypted_with_cbc",
        "idp",
        "The IdP encrypts with AES-CBC inside of a response that it does not sign, which gives what it hides away. Let"
        " the customer's IT sign the response too (at Entra: Sign SAML response and assertion), or encrypt with"
        " AES-GCM.",
    )


def _shown(failed: Failed) -> Sequence[str]:
    return failed.found or (failed.said.certificates if failed.said else ())


def _trusted(tenant: Tenant) -> Sequence[str]:
    return [of_certificate(pem) for pem in tenant.provider.certificates]


def _in_metadata(tenant: Tenant) -> str:
    """A line for each certificate that is trusted, and when it ends."""
    lines = ""
    for pem in tenant.provider.certificates:
        end = certificate_end(pem)
        ended = f" (ended on {end:%Y-%m-%d})" if end < datetime.now(UTC) else ""
        lines += f"  in the metadata:  {of_certificate(pem)}{ended}\n"
    return lines


def _refresh(failed: Failed) -> str:
    source = failed.tenant.saml.metadata
    if isinstance(source, Path):
        return (
            f"Let the customer's IT export the IdP's metadata again, and put it in the place of {shown(source)},"
            " which `saml.metadata` names."
        )
    return (
        f"Run `kombo-bridge metadata refresh --tenant {failed.tenant.slug}`, which reads {source} anew; if that brings"
        " nothing new, the customer's IT must publish the certificate there."
    )


def _nobody_vouches(failed: Failed) -> str:
    """Why no setting is proposed that asks for less than the tenant's file does."""
    if failed.judged is None:
        return (
            "Whether it is the IdP's at all, nobody knows, as it was refused before that was asked: `kombo-bridge"
            f" explain --tenant {failed.tenant.slug} FILE` says so of a response that somebody saved."
        )
    return "No setting is proposed, as it would not get past the check of its signatures with it either."


def key_kept_elsewhere(failed: Failed) -> Change:
    return Change(
        "encryption_refused",
        "idp",
        f"{capitalized(failed.reason)}. Let the customer's IT change how its IdP encrypts assertions,"
        " or switch that off; TLS protects them as well.",
    )


CASES: Cases = {
    "signature": (
        another_tenants_certificate,
        certificate_changed,
        key_of_the_same_certificate,
        unknown_certificate,
    ),
    "digest": (changed_after_signing,),
    "signature_missing": (signed_setting, not_signed),
    "sha1": (sha1,),
    "decryption": (encrypted_for_another_key,),
    "decryption_key": (encrypted_for_another_key,),
    "cbc_unsigned": (cbc,),
    **dict.fromkeys(
        ("content_algorithm", "key_algorithm", "encrypted_key", "encrypted", "encryption_content"),
        (key_kept_elsewhere,),
    ),
}
