"""`kombo-bridge keys`, from the first start of a service to the end of a rollover."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest

from bridge.keys.rollover import READY_MS, SPENT_MS
from bridge.store import keys as rows
from bridge.store.engine import Store
from bridge.store.keys import Kind
from bridge.store.sealing import Seal
from tests.support.deployment import SECRET
from tests.support.key_shell import Shell
from tests.support.keys import made


def test_looking_before_the_first_start_makes_nothing(fresh: Shell) -> None:
    assert fresh("list").out == "there are no keys yet; the service makes them when it first starts\n"
    assert fresh.listed() == []
    assert not (fresh.deployment.folder / "bridge.db").exists()


def test_the_list(shell: Shell) -> None:
    said = shell("list")
    heading, *lines = said.out.splitlines()
    assert heading.split("  ")[0] == "ID"
    assert [line.split()[1:3] for line in lines] == [["headers", "-"], ["saml", "-"], ["saml", "acme"]]
    assert [line.split()[4] for line in lines] == ["signs"] * 3
    [headers] = shell.listed("headers")
    assert headers == {
        "id": headers["id"],
        "for": "headers",
        "tenant": None,
        "since": headers["since"],
        "state": "signs",
        "certificate_until": None,
        "next": None,
        "next_from": None,
    }
    [acme] = shell.listed("saml", "acme")
    assert acme["certificate_until"] > "2035"


def test_a_rollover_of_the_header_keys(shell: Shell) -> None:
    [old] = shell.ids("headers")
    said = shell("rotate", "headers")
    assert (said.code, said.err, said.out.count("\n")) == (0, "", 1)
    new = shell.ids("headers")[1]
    assert said.out.startswith(f"headers: made {new}; it is published now and signs from ")
    assert said.out.endswith(f"`kombo-bridge keys retire` {old}\n")
    assert [key["state"] for key in shell.listed("headers")] == ["signs", "next"]

    said = shell("retire", old)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"kombo-bridge: {old} signs until ")
    shell.wait(READY_MS)
    assert [key["state"] for key in shell.listed("headers")] == ["verifies", "signs"]
    assert "retire it after" in shell("retire", old).err
    shell.wait(SPENT_MS)
    assert shell("retire", old).out == f"headers: retired {old}; {new} signs\n"
    assert shell.ids("headers") == [new]


def test_a_rollover_of_the_saml_keys(shell: Shell) -> None:
    [old] = shell.ids("saml")
    said = shell("rotate", "saml")
    new = shell.ids("saml")[1]
    assert said.out.startswith(f"saml: made {new}; give the IdPs the new metadata, which has both certificates; ")
    assert [key["state"] for key in shell.listed("saml")] == ["signs", "decrypts"]
    said = shell("retire", old)
    assert said.out == (
        f"saml: retired {old}; {new} signs; give the IdPs the new metadata, so that they stop encrypting to the"
        " retired one\n"
    )
    assert [key["state"] for key in shell.listed("saml")] == ["signs"]


def test_a_tenants_own_keys_roll_over_alone(shell: Shell) -> None:
    [deployments], [old] = shell.ids("saml"), shell.ids("saml", "acme")
    assert shell("rotate", "saml", "--tenant", "acme").out.startswith("saml of acme: made ")
    assert shell("retire", old).code == 0
    assert shell.ids("saml") == [deployments]
    [left] = shell.ids("saml", "acme")
    said = shell("retire", left)
    assert said.err == f"kombo-bridge: {left} is the last key for saml of acme; make another with `keys rotate` first\n"


def test_the_first_of_a_kind_signs_at_once(fresh: Shell) -> None:
    assert fresh("rotate", "headers").out.endswith("; it is the first, so it signs at once\n")


def test_the_last_key_of_somebody_who_needs_none_may_go(shell: Shell) -> None:
    del shell.deployment.tenants["acme"]["saml"]["own_keys"]
    shell.deployment.write()
    [own] = shell.ids("saml", "acme")
    assert shell("retire", own).out.endswith("; there is none left, and nobody needs one\n")


def test_a_tenant_whose_file_is_broken_may_need_its_keys(shell: Shell) -> None:
    (shell.deployment.folder / "tenants" / "acme.yaml").write_text("name: [")
    [own] = shell.ids("saml", "acme")
    assert "is the last key for saml of acme" in shell("retire", own).err


def test_no_last_key_goes(shell: Shell) -> None:
    for [id] in (shell.ids("headers"), shell.ids("saml"), shell.ids("saml", "acme")):
        said = shell("retire", id)
        assert (said.code, said.out) == (1, "")
        assert "is the last key for" in said.err
    assert len(shell.listed()) + len(shell.listed("saml", "acme")) == 3


def test_a_beginning_of_the_id_is_enough_if_no_other_has_it(shell: Shell) -> None:
    shell("rotate", "saml")
    old, new = shell.ids("saml")
    assert "no key has an id that begins with 'zzzzzz'" in shell("retire", "zzzzzz").err
    for short in ("", old[0], old[:5]):
        assert "write at least 6 characters of the key's id" in shell("retire", short).err
    assert shell("retire", old[:6]).code == 0
    assert shell.ids("saml") == [new]


def test_an_id_that_begins_with_a_dash(shell: Shell) -> None:
    key = made("stamp", 7)
    with closing(Store(f"sqlite:///{shell.deployment.folder}/bridge.db")) as store:
        dashed = rows.MadeKey(f"-h-end{key.id[6:]}", key.private_pem)
        asyncio.run(store.write(lambda c: rows.add(c, Seal([SECRET]), Kind("stamp"), dashed)))
    assert shell("retire", "-h-end").out.startswith("headers: retired -h-end")


def test_an_id_that_begins_two_of_them(shell: Shell) -> None:
    key = made("stamp", 7)
    with closing(Store(f"sqlite:///{shell.deployment.folder}/bridge.db")) as store:
        for end in ("one", "two"):
            twin = rows.MadeKey(f"twins-{end}", key.private_pem)
            asyncio.run(store.write(lambda c, twin=twin: rows.add(c, Seal([SECRET]), Kind("stamp"), twin)))
    assert "2 keys have an id that begins with 'twins-'" in shell("retire", "twins-").err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["rotate", "saml", "--tenant", "globex"], 1, "the tenant globex has no SAML keys of its own"),
        (["rotate", "saml", "--tenant", "nobody"], 1, "there is no tenant nobody with a valid file"),
        (["rotate", "saml", "--tenant", "no\x1b[2Jbody"], 1, "there is no tenant no\ufffd[2Jbody with"),
        (["retire", "a" * 40, "--lost"], 1, "no key has an id that begins with"),
        (["rotate", "headers", "--tenant", "acme"], 2, "Invalid value for --tenant"),
        (["rotate", "saml", "--hold"], 2, "Invalid value for --hold, --now"),
        (["rotate", "headers", "--hold", "--now"], 2, "Invalid value for --hold, --now"),
        (["rotate", "everything"], 2, "Invalid value"),
        (["rotate"], 2, "Missing argument"),
        (["retire"], 2, "Missing argument"),
        (["retire", "a", "b"], 2, "unexpected extra argument"),
    ],
)
def test_what_cannot_be_done(shell: Shell, arguments: list[str], code: int, said: str) -> None:
    before = shell("list").out
    answer = shell(*arguments)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert shell("list").out == before


def test_other_secrets_make_no_key_that_the_service_cannot_open(shell: Shell) -> None:
    before = shell("list").out
    shell.deployment.service["secrets"] = ["quite another secret of the tests, long enough"]
    shell.deployment.write()
    said = shell("rotate", "saml")
    assert said.code == 1
    assert said.err.count("\n") == 1
    assert "put the former secret back" in said.err
    assert shell("list").out == before


def test_looking_changes_no_state_of_another_version(shell: Shell) -> None:
    for file in shell.deployment.folder.glob("bridge.db*"):
        file.unlink()
    database = shell.deployment.folder / "bridge.db"
    database.touch()
    said = shell("list")
    assert (said.code, said.out) == (1, "")
    assert "a state of an older version becomes readable by `kombo-bridge serve`" in said.err
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT * FROM sqlite_master").fetchall() == []


def test_a_tenant_that_waits_for_its_metadata_has_no_other_key_made(shell: Shell) -> None:
    shell.deployment.tenants["acme"]["saml"]["metadata"] = "https://idp.example.com/metadata"
    shell.deployment.write()
    said = shell("rotate", "saml", "--tenant", "acme")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "the tenant acme needs no other key while it has no metadata: " in said.err
    assert "https://idp.example.com/metadata is yet to be fetched" in said.err


class TestSecrets:
    """One is replaced by another, or lost."""

    FORMER, NEW = SECRET, "quite another secret of the tests, long enough"

    def under(self, shell: Shell, *secrets: str) -> None:
        shell.deployment.service["secrets"] = list(secrets)
        shell.deployment.write()

    def test_resealing_lets_the_former_secret_go(self, shell: Shell) -> None:
        before = shell("list", "--json").out
        self.under(shell, self.NEW, self.FORMER)
        shell("rotate", "saml")
        said = shell("reseal")
        assert (said.code, said.err, said.out.count("\n")) == (0, "", 1)
        assert said.out.startswith("3 keys sealed anew under the first of `secrets`, 1 already were; once every node")
        assert shell("reseal").out.startswith("0 keys sealed anew under the first of `secrets`, 4 already were; ")
        self.under(shell, self.NEW)
        assert shell("rotate", "headers").code == 0
        assert shell("reseal").code == 0
        kept = {key["id"] for key in json.loads(before)}
        assert kept < {key["id"] for key in json.loads(shell("list", "--json").out)}

    def test_nothing_is_resealed_while_a_key_does_not_open(self, shell: Shell) -> None:
        self.under(shell, self.NEW)
        said = shell("reseal")
        assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
        assert "put the former secret back at the end of `secrets`" in said.err
        ids = shell.ids("headers") + shell.ids("saml") + shell.ids("saml", "acme")
        assert all(id in said.err for id in ids)
        assert "keys retire ID --lost`" in said.err
        self.under(shell, self.FORMER)
        assert shell("reseal").out.startswith("0 keys sealed anew")

    def test_of_many_that_do_not_open_a_few_are_named(self, shell: Shell) -> None:
        for _ in range(4):
            shell("rotate", "saml")
        self.under(shell, self.NEW)
        said = shell("reseal").err
        assert ", 2 more: put" in said

    def test_the_keys_of_a_lost_secret_are_replaced_one_by_one(self, shell: Shell) -> None:
        lost = shell.ids("headers") + shell.ids("saml") + shell.ids("saml", "acme")
        self.under(shell, self.NEW)
        for id in lost:
            assert "is the last key" in shell("retire", id).err
            said = shell("retire", id, "--lost")
            assert (said.code, said.err) == (0, "")
            assert f"retired {id}; " in said.out
            assert " signs" in said.out
        new = shell.ids("headers") + shell.ids("saml") + shell.ids("saml", "acme")
        assert len(new) == len(lost)
        assert not set(new) & set(lost)
        assert shell("reseal").out.startswith("0 keys sealed anew under the first of `secrets`, 3 already were")
        shell.start_once(self.NEW)

    def test_where_another_opens_none_is_made(self, shell: Shell) -> None:
        [lost] = shell.ids("saml")
        self.under(shell, self.NEW, self.FORMER)
        shell("rotate", "saml")
        other = shell.ids("saml")[1]
        self.under(shell, self.NEW)
        assert shell("retire", lost, "--lost").out.startswith(f"saml: retired {lost}; {other} signs; ")
        assert shell.ids("saml") == [other]

    def test_what_opens_is_not_lost(self, shell: Shell) -> None:
        [id] = shell.ids("headers")
        said = shell("retire", id, "--lost")
        assert f"{id} opens under one of `secrets`, so it is not lost" in said.err
        assert said.code == 1
        assert shell.ids("headers") == [id]

    def test_nobody_gets_another_who_needs_none(self, shell: Shell) -> None:
        [own] = shell.ids("saml", "acme")
        del shell.deployment.tenants["acme"]["saml"]["own_keys"]
        self.under(shell, self.NEW)
        assert shell("retire", own, "--lost").out.endswith("; there is none left, and nobody needs one\n")


def test_a_state_out_of_reach_is_not_called_an_older_one(shell: Shell) -> None:
    shell.deployment.service["state"] = "postgresql://nobody@127.0.0.1:1/nothing"
    shell.deployment.write()
    said = shell("list")
    assert (said.code, said.out) == (1, "")
    assert "could not be read or written" in said.err
    assert "older version" not in said.err
