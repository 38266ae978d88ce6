"""Every case of a response that did not pass, and the change that fits."""

from __future__ import annotations

from bridge.explain.cases import addresses, answers, times, trust
from bridge.explain.cases.failed import Cases, Failed
from bridge.explain.change import Change

CASES: Cases = {**answers.CASES, **trust.CASES, **addresses.CASES, **times.CASES}


def change_of(failed: Failed) -> Change:
    """That of the first case which knows what to do."""
    found = (case(failed) for case in CASES.get(failed.check, ()))
    return next((change for change in found if change), None) or answers.profile(failed)
