"""A learner is refused, reads three words aloud, and the operator types them."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

from bridge.simulator import seed
from tests.support.processes import kombo_bridge
from tests.support.stage import Stage, stage


async def explained(s: Stage, reference: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """What the command says, once what was refused is written down."""
    line = kombo_bridge("explain", reference, "--json", "--config", str(s.deployment.path), *arguments)
    for _ in range(50):
        done = await asyncio.to_thread(subprocess.run, line, capture_output=True, text=True)
        if "nothing is known" not in done.stderr:
            assert done.stderr == "", done.stderr
            return done.returncode, json.loads(done.stdout)
        await asyncio.sleep(0.2)
    raise AssertionError("what was refused was never written down")


async def test_from_the_words_to_the_change(tmp_path: Path) -> None:
    async with stage(tmp_path) as s, s.browser() as b:
        answer = await b.sign_in("acme", seed.JANE, "/courses/cybersecurity-101", audience="https://old.example.com/sp")
        assert answer.status_code == 403
        code, told = await explained(s, s.refusal()["reference"])
        assert (code, told["of"], told["check"]) == (1, "refusal", "audience")
        assert told["change"]["yaml"] == "saml:\n  sp_entity_id: https://old.example.com/sp"
        answer = await b.sign_in("acme", seed.JANE, name_id=f"{seed.JANE.remote_id}@acme")
        assert answer.status_code == 403
        code, told = await explained(s, s.refusal()["reference"].upper().replace("-", " "))
        assert (code, told["of"], told["outcome"]) == (1, "launch", "user_unmatched")
        assert told["change"]["case"] == "something_around_the_id"
        assert seed.JANE.remote_id not in json.dumps(told)
        answer = await b.launch("acme", seed.HUGO, "/courses/cybersecurity-101")
        assert answer.status_code == 403
        code, told = await explained(s, s.refusal()["reference"])
        assert (code, told["course"]["outcome"], told["change"]["case"]) == (1, "not_enrolled", "not_assigned")
        assert told["user"] == seed.HUGO.id
