"""For when a run was planned."""

from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows import names


def planned_at() -> datetime:
    """The time for which its schedule planned this run, however late it began; of any other run, its beginning."""
    return workflow.info().typed_search_attributes.get(names.PLANNED_AT) or workflow.info().start_time
