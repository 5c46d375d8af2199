"""Workflows of a later day: what a deploy may bring, with a version gate and without one."""

from datetime import timedelta

from temporalio import workflow

from workflows.messages import UploadInput, UploadResult
from workflows.upload import UploadWorkflow

GATE = "pause-first"
PAUSE = timedelta(milliseconds=10)


@workflow.defn(name="UploadWorkflow", sandboxed=False)
class GatedUpload(UploadWorkflow):
    """A step more, for runs that begin with this code."""

    @workflow.init
    def __init__(self, upload: UploadInput) -> None:
        super().__init__(upload)

    @workflow.run
    async def run(self, upload: UploadInput) -> UploadResult:
        if workflow.patched(GATE):
            await workflow.sleep(PAUSE, summary="pause")
        return await super().run(upload)


@workflow.defn(name="UploadWorkflow", sandboxed=False)
class UngatedUpload(UploadWorkflow):
    """The same step more, for runs that are under way as well."""

    @workflow.init
    def __init__(self, upload: UploadInput) -> None:
        super().__init__(upload)

    @workflow.run
    async def run(self, upload: UploadInput) -> UploadResult:
        await workflow.sleep(PAUSE, summary="pause")
        return await super().run(upload)
