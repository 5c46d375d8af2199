"""Looks after what a crash left behind; runs on a Schedule, see `workflows.schedules`."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.sweeping import Sweeping
    from workflows import policies
    from workflows.messages import SweepInput, SweepResult


@workflow.defn
class SweepWorkflow:
    """Start accepted uploads that have no run, expire uploads that never came, deliver what waits in inbox and
    outbox."""

    @workflow.run
    async def run(self, sweep: SweepInput) -> SweepResult:
        """One sweep; what it leaves, the next one takes up."""
        return await workflow.execute_activity_method(
            Sweeping.sweep,
            sweep,
            **policies.at(policies.SWEEPING, "sweep"),
        )
