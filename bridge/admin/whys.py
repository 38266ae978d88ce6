"""Why one launch ended as it did: what the IdP said, as far as it may be seen, and the one change that would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bridge.admin.launches import Shown, shown
from bridge.admin.reading import Reader
from bridge.errors import BridgeError, StateError
from bridge.explain.copy import Copy
from bridge.explain.explanation import Explanation
from bridge.explain.records import explain_record
from bridge.launches import history
from bridge.launches.history import Record
from bridge.redaction import redacted
from bridge.settings.model import Configuration
from bridge.store.engine import Store
from bridge.store.sealing import Seal

SIDES: Mapping[str, str] = {
    "bridge": "for whoever runs the bridge",
    "idp": "for the customer's IT, at its IdP",
    "lms": "for those who run the customer's LMS",
    "kombo": "for whoever keeps the integration at Kombo",
    "link": "for whoever wrote the link",
    "nobody": "for nobody",
}


@dataclass(frozen=True, slots=True)
class Why:
    """One launch. `said` is by attribute, redacted; `unseen` is why it cannot be shown, where it was kept."""

    launch: Shown
    said: Sequence[tuple[str, Sequence[str]]] = ()
    unseen: str = ""
    explanation: Explanation | None = None

    @property
    def whose(self) -> str:
        change = self.explanation.change if self.explanation else None
        return SIDES.get(change.side, change.side) if change else ""


async def why(record: Record, configuration: Configuration, reader: Reader, seal: Seal) -> Why:
    """`seal` is one for `history.PURPOSE`. What cannot be explained just now goes without."""
    launch = shown(record)
    said: Sequence[tuple[str, Sequence[str]]] = ()
    unseen = ""
    if launch.launch:
        try:
            told = history.seen(seal, launch.launch) or {}
            said = [(name, [redacted(value) for value in values]) for name, values in told.items()]
        except StateError as error:
            unseen = str(error)
    if launch.result != "refused":
        return Why(launch, said, unseen)
    try:
        found = await reader.run(partial(_explained, record, configuration, None if unseen else seal))
    except BridgeError:
        found = None
    return Why(launch, said, unseen, found)


async def _explained(record: Record, configuration: Configuration, seal: Seal | None, store: Store) -> Explanation:
    return await explain_record(record, configuration, Copy(store), seal)
