"""No vendor outside: the local classifier's word, which is in the inbox before anybody is asked, is all there is."""

from collections.abc import Mapping
from datetime import datetime

from mediagate.errors import BadSignature
from mediagate.moderation.findings import LOCAL_VENDOR, VendorEvent
from mediagate.vendors.interface import Answers, Capabilities, ReadCopy, Submission, SubmissionReceipt


class LocalVendor:
    """`ModerationVendor` that sends nothing anywhere: whoever submits finds the classifier's event in the inbox."""

    @property
    def name(self) -> str:
        return LOCAL_VENDOR

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(answers=Answers.AT_ONCE)

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:  # noqa: ARG002
        return SubmissionReceipt(reference=submission.media_id)

    async def poll(self, media_id: str, *, reference: str = "") -> list[VendorEvent]:  # noqa: ARG002
        return []

    def parse_callback(
        self,
        headers: Mapping[str, str],  # noqa: ARG002
        body: bytes,  # noqa: ARG002
        *,
        now: datetime,  # noqa: ARG002
        query: Mapping[str, str],  # noqa: ARG002
    ) -> list[VendorEvent]:
        raise BadSignature("The local classifier sends no webhooks: this is not from it.")
