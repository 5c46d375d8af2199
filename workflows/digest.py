"""Admins are told what happened; runs on a Schedule, see `workflows.schedules`."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.digesting import Digesting
    from workflows import policies
    from workflows.planned import planned_at
    from workflows.report_messages import DigestInput, DigestResult


@workflow.defn
class DigestWorkflow:
    """Sum up the day or week before the planned time, however late and however often that is done."""

    @workflow.run
    async def run(self, job: DigestInput) -> DigestResult:
        """One digest; the sweep sends its mails."""
        return await workflow.execute_activity_method(
            Digesting.write_digest,
            job.model_copy(update={"at": job.at or planned_at()}),
            **policies.at(policies.DIGEST, f"digest of the {'week' if job.weekly else 'day'}"),
        )
