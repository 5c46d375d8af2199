"""Every vendor is asked whether it answers; runs on a Schedule, see `workflows.schedules`."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.vendor_checks import VendorChecks
    from workflows import policies
    from workflows.planned import planned_at
    from workflows.report_messages import CheckInput, CheckResult


@workflow.defn
class VendorHealthWorkflow:
    """Ask each vendor, and tell admins when an outage begins and when it is over."""

    @workflow.run
    async def run(self, job: CheckInput) -> CheckResult:
        """One check of all vendors; the sweep sends its mails."""
        return await workflow.execute_activity_method(
            VendorChecks.check_vendors,
            job.model_copy(update={"at": job.at or planned_at()}),
            **policies.at(policies.VENDOR_CHECK, "check vendors"),
        )
