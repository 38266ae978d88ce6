"""Every case of somebody who was not found as exactly one active person, and the change that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.errors import Code
from bridge.explain.cases import composites, sources, spellings, standing, systems
from bridge.explain.cases.unfound import Case, Unfound
from bridge.explain.change import Change

_NEARBY: Sequence[Case] = (
    sources.transient_name_id,
    spellings.extract_too_narrow,
    sources.another_source,
    spellings.something_around_it,
    spellings.zeros_sent,
    spellings.blanks_in_the_copy,
    spellings.spelt_otherwise,
    composites.part_of_a_composite,
    composites.prefixed_remote_id,
)
"""A value that would fit, were it read otherwise."""

_UNMATCHED: Sequence[Case] = (
    standing.never_synced,
    standing.nobody_there,
    *_NEARBY,
    systems.workday_employee_id,
    systems.of_another_tenant,
    systems.domain_changed,
    sources.as_address,
    systems.successfactors_employee_central,
    systems.cornerstone_internal_id,
    standing.wrong_integration,
    standing.not_in_the_copy,
)

CASES: Mapping[Code, Sequence[Case]] = {
    Code.IDENTIFIER_MISSING: (
        sources.several_values,
        standing.never_synced,
        sources.another_source,
        sources.renamed,
        sources.as_address,
        sources.nothing_sent,
    ),
    Code.USER_UNMATCHED: _UNMATCHED,
    Code.USER_UNKNOWN: (standing.copy_too_old, *_UNMATCHED),
    Code.USER_AMBIGUOUS: (
        sources.several_values,
        composites.part_of_a_composite,
        standing.several_people,
    ),
    Code.USER_INACTIVE: (standing.inactive,),
}


async def change_of(unfound: Unfound) -> Change | None:
    """That of the first case which knows what to do."""
    for case in CASES.get(unfound.refusal.code, ()):
        if change := await case(unfound):
            return change
    return None
