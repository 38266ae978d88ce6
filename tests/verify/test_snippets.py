"""The documented verification in each language, by the vectors that everybody may use, over keys that are served."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.verifiers import LANGUAGES, SNIPPETS, Language, served, verifying


def _vectors() -> ModuleType:
    """docs/verify/vectors.py, which is no module of ours."""
    spec = importlib.util.spec_from_file_location("vectors", SNIPPETS / "vectors.py")
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OWN_FETCH = ("go", "php", "ruby")
"""Snippets that read the keys themselves; the others' libraries count only answers that were good."""
REFRESH_SECONDS = 11.5
"""After which the snippets may ask for an unknown key once more, APCu counting whole seconds; `AT_ONCE_MS` of the
rollover is longer."""

vectors = _vectors()
NAMES = [case.name for case in vectors.Maker(0).cases()]
languages = pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)


def plain(claims: dict[str, Any] | None) -> dict[str, Any] | None:
    """One audience may come as a list of one, and 60 as 60.0."""
    if claims is None:
        return None
    audience = claims.get("aud")
    return {**claims, "aud": audience[0] if isinstance(audience, list) and len(audience) == 1 else audience}


@languages
def test_a_snippet_accepts_and_refuses_what_it_has_to(language: Language, tmp_path: Path) -> None:
    wrong = []
    with served(vectors.JWKS["keys"]) as jwks, verifying(language, tmp_path, jwks.url) as verifier:
        for number in range(len(NAMES)):
            case = vectors.Maker(int(time.time())).cases()[number]  # only now, however long the former ones took
            found = verifier.judge(case.headers)
            if plain(found.get("claims")) != case.claims:
                wrong.append(f"{case.name}: {found}")
    assert not wrong, "\n".join(wrong)
    assert jwks.asked <= 2, "keys are kept, and unknown ones are not asked for again and again"


@languages
def test_without_keys_nobody_gets_in(language: Language, tmp_path: Path) -> None:
    with served(vectors.JWKS["keys"]) as jwks, verifying(language, tmp_path, jwks.url) as verifier:

        def judged() -> dict[str, Any]:
            return verifier.judge([(vectors.HEADER, vectors.Maker(int(time.time())).token())])

        jwks.broken = True
        assert "refused" in judged()
        jwks.broken = False
        assert "claims" in judged(), "as soon as there are keys again"
        jwks.broken = True
        assert "claims" in judged(), "known keys are kept"


@languages
def test_a_kid_is_needed_even_where_there_is_one_key(language: Language, tmp_path: Path) -> None:
    with served(vectors.JWKS["keys"][:1]) as jwks, verifying(language, tmp_path, jwks.url) as verifier:
        for kid, judged in ((None, "refused"), ("current", "claims")):
            token = vectors.Maker(int(time.time())).token(kid=kid)
            assert judged in verifier.judge([(vectors.HEADER, token)])


def test_the_committed_vectors_are_what_the_script_makes() -> None:
    made = json.loads(json.dumps(vectors.document(vectors.NOW)))
    assert json.loads((SNIPPETS / "vectors.json").read_text(encoding="utf-8")) == made
    names = [case["name"] for case in made["cases"]]
    assert len(names) == len(set(names))
    assert any(case["expect"] == "refused" for case in made["cases"])


@pytest.mark.long
def test_a_new_key_is_known_when_it_signs(tmp_path: Path) -> None:
    """All languages side by side, as they have to be given time in which they must not ask again."""

    def token(key: str) -> list[tuple[str, str]]:
        private = {"current": vectors.CURRENT, "next": vectors.NEXT}.get(key, vectors.UNPUBLISHED)
        return [(vectors.HEADER, vectors.Maker(int(time.time())).token(sign=vectors.ecdsa(private), kid=key))]

    with contextlib.ExitStack() as stack:
        present = []
        for language in LANGUAGES:
            (folder := tmp_path / language.name).mkdir()
            jwks = stack.enter_context(served(vectors.JWKS["keys"][:1]))
            present.append((language.name, jwks, stack.enter_context(verifying(language, folder, jwks.url))))
        for name, jwks, verifier in present:
            assert "claims" in verifier.judge(token("current")), name
            for number in range(20):
                assert "refused" in verifier.judge(token(f"unknown-{number}")), name
            assert jwks.asked <= 2, f"{name} asks again for every key that it does not know"
            jwks.keys.append(vectors.JWKS["keys"][1])
            jwks.broken = True
        time.sleep(REFRESH_SECONDS)
        for name, jwks, verifier in present:
            asked = jwks.asked
            for number in range(5):
                assert "refused" in verifier.judge(token(f"unknown-{number}")), name
            assert jwks.asked == asked + 1 or name not in OWN_FETCH, f"{name} asks what cannot answer again and again"
            assert "claims" in verifier.judge(token("current")), name
            jwks.broken = False
        time.sleep(REFRESH_SECONDS)
        for name, jwks, verifier in present:
            asked = jwks.asked
            for key in ("next", "current", "next"):
                assert "claims" in verifier.judge(token(key)), f"{name} does not know the {key} key"
            assert jwks.asked == asked + 1, name
