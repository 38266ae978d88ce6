"""The turns of the header-signing keys by command: published, waited for, promoted, retired."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.cli import signing
from bridge.keys.rollover import AT_ONCE_MS, READY_MS, SPENT_MS
from tests.support.key_shell import Shell


def states(shell: Shell) -> str:
    return " ".join(key["state"] for key in shell.listed("headers"))


def steps(shell: Shell) -> list[str | None]:
    return [key["next"] for key in shell.listed("headers")]


def test_the_list_says_what_each_key_waits_for(shell: Shell) -> None:
    assert steps(shell) == [None]
    shell("rotate", "headers")
    assert steps(shell) == ["retire", "sign"]
    shell.wait(READY_MS)
    assert steps(shell) == ["retire", None]
    [retire, _] = [key["next_from"] for key in shell.listed("headers")]
    assert retire > shell.listed("headers")[0]["since"]


def test_a_held_key_signs_once_it_is_promoted(shell: Shell) -> None:
    [old] = shell.ids("headers")
    said = shell("rotate", "headers", "--hold")
    new = shell.ids("headers")[1]
    assert said.out.startswith(f"headers: made {new}; it is published now and signs once it is promoted: from ")
    assert said.out.endswith(f"`kombo-bridge keys promote` {new}; in the end, `kombo-bridge keys retire` {old}\n")
    assert (states(shell), steps(shell)) == ("signs held", [None, "promote"])
    assert "signs; make another" in shell("retire", old).err

    early = shell("promote", new)
    assert (early.code, early.out) == (1, "")
    assert f"not every platform can know {new} before " in early.err
    shell.wait(10 * READY_MS)
    assert states(shell) == "signs held", "by itself it never does"
    assert shell("promote", new).out.startswith(f"headers: {new} signs from ")
    assert (states(shell), steps(shell)) == ("signs next", ["retire", "sign"])
    shell.pass_promotion(AT_ONCE_MS)
    assert states(shell) == "verifies signs"
    assert "retire it after" in shell("retire", old).err
    assert shell("promote", new).err == f"kombo-bridge: {new} signs already\n"
    shell.pass_promotion(SPENT_MS)
    assert shell("retire", old).out == f"headers: retired {old}; {new} signs\n"


def test_a_stolen_key_is_gone_in_seconds(shell: Shell) -> None:
    [stolen] = shell.ids("headers")
    assert "; it is published now and signs from " in shell("rotate", "headers", "--now").out
    assert f"{stolen} signs until " in shell("retire", stolen, "--now").err, "without one that signs nobody gets in"
    shell.pass_promotion(AT_ONCE_MS)
    assert states(shell) == "verifies signs"
    assert "retire it after" in shell("retire", stolen).err
    assert shell("retire", stolen, "--now").code == 0
    assert states(shell) == "signs"


def test_a_former_key_can_take_over_again(shell: Shell) -> None:
    [old] = shell.ids("headers")
    shell("rotate", "headers")
    shell.wait(READY_MS)
    assert states(shell) == "verifies signs"
    assert shell("promote", old[:8]).code == 0
    shell.pass_promotion(AT_ONCE_MS)
    assert states(shell) == "signs verifies"
    shell.wait(SPENT_MS)
    shell.pass_promotion(SPENT_MS)
    assert shell("retire", shell.ids("headers")[1]).code == 0


def test_a_key_that_is_about_to_sign_does_not_go(shell: Shell) -> None:
    """Other processes would sign with it for the seconds in which they do not know that it is gone."""
    [old] = shell.ids("headers")
    shell.wait(READY_MS)
    shell("rotate", "headers", "--now")
    [_, new] = shell.ids("headers")
    for how in ([], ["--now"]):
        assert f"{new} signs from " in shell("retire", new, *how).err
    shell.pass_promotion(AT_ONCE_MS)
    assert shell("promote", old).code == 0, "and what it signed a moment ago still counts"
    assert f"{old} signs from " in shell("retire", old).err
    assert states(shell) == "next signs"


def test_the_first_of_all_is_not_held(fresh: Shell) -> None:
    assert fresh("rotate", "headers", "--hold").out.endswith("; it is the first, so it signs at once\n")
    assert states(fresh) == "signs"


def test_waiting_is_over_when_the_key_can_be_retired(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    [old] = shell.ids("headers")
    assert shell("wait", old).out == "headers: signs, and no other is to take over from it\n"
    shell("rotate", "headers")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        assert 0 < seconds <= signing.LOOK_AGAIN_SECONDS
        slept.append(seconds)
        shell.wait(60_000)

    monkeypatch.setattr(signing.time, "sleep", sleep)
    said = shell("wait", shell.ids("headers")[1])
    assert (said.code, said.out) == (0, "headers: signs now\n")
    assert said.err.startswith("headers: signs from ")
    assert states(shell) == "verifies signs"
    assert shell("wait", old).out == "headers: can be retired now\n"
    assert slept
    assert shell("retire", old).code == 0


def test_waiting_is_in_vain_when_somebody_lets_the_key_sign_again(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    [old] = shell.ids("headers")
    shell("rotate", "headers")
    shell.wait(READY_MS)
    monkeypatch.setattr(signing.time, "sleep", lambda _: shell("promote", old))
    said = shell("wait", old)
    assert (said.code, said.out) == (1, "")
    assert "the turns of the keys have been changed meanwhile" in said.err


def test_only_what_the_service_publishes_is_printed(shell: Shell, fresh: Shell) -> None:
    shell("rotate", "headers")
    found: dict[str, Any] = json.loads(shell("jwks").out)
    assert sorted(key["kid"] for key in found["keys"]) == sorted(shell.ids("headers"))
    assert all(set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in found["keys"])


def test_there_is_nothing_to_print_before_the_first_start(fresh: Shell) -> None:
    said = fresh("jwks")
    assert (said.code, said.out) == (1, "")
    assert "there are no header-signing keys yet" in said.err


@pytest.mark.parametrize("what", ["promote", "wait"])
def test_saml_keys_have_other_rules(shell: Shell, what: str) -> None:
    [saml] = shell.ids("saml")
    said = shell(what, saml)
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert "SAML key" in said.err or "no header-signing key" in said.err
    assert "no key has an id that begins with" in shell(what, "zzzzzzzz").err
