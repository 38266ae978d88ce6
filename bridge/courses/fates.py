"""What Kombo's answer to a bulk task means for each course of it, where it can be believed.

An answer that is not exactly about the courses that were sent proves that something is mixed up, and a course id under
the wrong origin id would open the wrong course: then nothing of it counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bridge.kombo.answers import LONGEST_MESSAGE
from bridge.kombo.model import BulkItem, BulkTask, Fault
from bridge.printable import printable
from bridge.store.courses import Fate

LONGEST_CODE = 100
NOT_BELIEVED = "Kombo's answer cannot be believed: {}; the next push sends the course again"


def fates(task: BulkTask, task_id: str, sent: frozenset[str]) -> Mapping[str, Fate] | None:
    """The fate of each course by origin id; None while the task goes on."""
    if task.task_id != task_id:
        return _all(sent, _unbelievable("it is about another task"))
    if task.status == "FAILED":
        return _all(sent, _failed(task.error))
    if task.status != "COMPLETED":  # PENDING, or a word that is new
        return None
    if task.data is None:
        return _all(sent, _unbelievable("the task has ended without a result"))
    if flaw := _flaw(task.data, sent):
        return _all(sent, _unbelievable(flaw))
    return {item.origin_id: _fate(item) for item in task.data}


def refusal(code: str, message: str) -> Fate:
    """What Kombo said of courses that it did not take."""
    return Fate(code=printable(code[:LONGEST_CODE]), message=printable(message[:LONGEST_MESSAGE]))


def _fate(item: BulkItem) -> Fate:
    if item.status == "SUCCEEDED" and item.data:
        return Fate(course_id=item.data.id)
    return _failed(item.error)


def _failed(fault: Fault | None) -> Fate:
    if fault is None:
        return Fate(message="Kombo says that it failed, and not why")
    said = fault.message or fault.title or "Kombo does not say why"
    see = f" (see {fault.log_url[:300]})" if fault.log_url else ""
    return refusal(fault.code or "", said[: LONGEST_MESSAGE - len(see)] + see)


def _flaw(items: tuple[BulkItem, ...], sent: frozenset[str]) -> str | None:
    counts = Counter(item.origin_id for item in items)
    courses = Counter(item.data.id for item in items if item.data)
    if counts.keys() - sent:
        return "it names a course that was not sent"
    if sent - counts.keys():
        return "it leaves a course out"
    if any(count > 1 for count in (*counts.values(), *courses.values())):
        return "it names a course twice"
    return None


def _all(sent: frozenset[str], fate: Fate) -> Mapping[str, Fate]:
    return dict.fromkeys(sent, fate)


def _unbelievable(flaw: str) -> Fate:
    return Fate(message=NOT_BELIEVED.format(flaw))
