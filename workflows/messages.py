"""Payloads of workflows and activities: one model in, one model out; fields are only ever added, with defaults.

They carry ids and keys, never bytes of files.
"""

from datetime import timedelta

from pydantic import Field

from mediagate.media.values import Refusal, Status, Value, Verdict
from mediagate.moderation.findings import VendorEvent
from mediagate.moderation.lanes import Lane
from mediagate.moderation.policy import Reason


class Waits(Value):
    """How long this upload waits for whom; taken from the settings when the workflow is started."""

    vendor: timedelta = timedelta(minutes=10)
    polls: int = Field(3, description="polls without a final answer before a person is asked")
    review: timedelta = timedelta(days=1)


class VendorAsk(Value):
    """A vendor that a run asks, and its patience with it."""

    name: str
    call: timedelta = Field(timedelta(seconds=30), description="for one attempt at a submission")
    give_up_after: timedelta = Field(timedelta(minutes=30), description="tries to submit end here")
    wait: timedelta | None = Field(None, description="for its webhook, before it is polled; None: as for all")
    own_queue: bool = Field(False, description="it has a task queue of its own, with a rate limit")


class MediaRef(Value):
    """Which media item a step is about; the input of every step that needs no more."""

    media_id: str
    library: str
    tracking_id: str = ""


class UploadInput(MediaRef):
    """Start of an `UploadWorkflow`."""

    filename: str = ""
    batch_id: str | None = None
    waits: Waits = Waits()
    ask: tuple[VendorAsk, ...] = Field((), description="vendors; none named: the deployment's own")
    lane: Lane = Lane.SLOW


class UploadResult(Value):
    """End of an `UploadWorkflow`."""

    media_id: str
    status: Status
    verdict: Verdict
    reason: str = ""


class StepResult(Value):
    """Outcome of a step that looks into the file: refused for a reason, or done."""

    refused: Refusal | None = None
    detail: str = ""
    poisoned: bool = Field(False, description="the step ended its worker too often to be tried again")
    events: tuple[VendorEvent, ...] = Field((), description="what detectors of the gate's own say")


class SubmitInput(MediaRef):
    """Hand an item to a vendor."""

    vendor: str = Field("", description="its name; empty: the deployment's own")


class PollInput(MediaRef):
    """Ask a vendor for what its webhook did not bring."""

    vendor: str = Field("", description="as above")


class SubmitResult(Value):
    """The vendor's receipt, and what it already said."""

    vendor: str = ""
    reference: str = ""
    events: tuple[VendorEvent, ...] = ()
    closed: bool = Field(False, description="no further word will come, neither by webhook nor to a poll")


class PollResult(Value):
    """What the vendor says when asked; empty while it is still at work."""

    events: tuple[VendorEvent, ...] = ()


class DecisionInput(MediaRef):
    """Record a decision: that of `verdict` if given, else the policy's over `events` or after the review's deadline."""

    events: tuple[VendorEvent, ...] = ()
    verdict: Verdict | None = None
    reasons: tuple[Reason, ...] = ()
    decided_by: str = "policy"
    note: str = ""
    deadline_passed: bool = False
    from_inbox: bool = Field(False, description="the events are those that are stored, not those given here")
    policy_version: str = Field("", description="of the given verdict, if another than the live policy led to it")
    lane: Lane | None = Field(None, description="in which the upload came; None: it is not known any more")
    round: int = Field(0, description="0: the upload's own decision; a later one takes the place of the one before")


class DecisionResult(Value):
    """The decision that stands: the first that was recorded, also when the step runs again."""

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    policy_version: str = ""
    decided_by: str = ""

    @property
    def reason(self) -> str:
        """The code of the leading reason; the media item's public `reason`."""
        return self.reasons[0].code if self.reasons else ""

    @property
    def detail(self) -> str:
        """The sentence of the leading reason."""
        return self.reasons[0].detail if self.reasons else ""


class NotifyInput(MediaRef):
    """Tell the admins of a library something about a media item, once per kind and occasion."""

    kind: str
    detail: str = ""
    occasion: str = Field("", description="tells apart what may happen more than once to an item")
    batch_id: str | None = None


class FileInput(MediaRef):
    """Move everything to where the verdict says."""

    verdict: Verdict
    reason: str = ""
    detail: str = ""
    round: int = Field(0, description="that of the decision; what a later one filed is left alone")
    notice: NotifyInput | None = Field(None, description="what admins are told, with the row that says it is filed")


class FileResult(Value):
    """What stands where now."""

    status: Status
    objects: int = 0
    renditions: bool = Field(False, description="the library wants more pictures of it now")
    seal: bool = Field(False, description="it is withheld for what it is: evidence is to be sealed")


class SealInput(MediaRef):
    """Seal the evidence of a restriction."""

    round: int = Field(0, description="of the decision")


class SealResult(Value):
    """The record that stands; empty: nothing is sealed here."""

    evidence_id: str = ""
    seq: int = 0


class FailureInput(MediaRef):
    """A run failed: show it in the projection."""

    kind: str
    detail: str = ""


class HumanDecision(Value):
    """Update `decide`: a person's verdict on a review."""

    verdict: Verdict
    reviewer: str
    reason: str = ""
    note: str = ""


class TakedownInput(MediaRef):
    """Start of a `TakedownWorkflow`: make an approved item public no more."""

    verdict: Verdict
    reason: str = Field(description="a code; the decision's is `takedown:<reason>`")
    note: str = ""
    actor: str
    round: int = Field(description="of the decision, 1 or more")


class TakedownResult(Value):
    """End of a `TakedownWorkflow`."""

    media_id: str
    status: Status
    reason: str
    purged: bool = Field(False, description="caches were told to forget it")


class RemoderateInput(MediaRef):
    """Start of a `RemoderationWorkflow`: decide an item anew that was decided before."""

    round: int = Field(description="of the new decision, 1 or more")
    cause: str = Field(description="late_verdict, policy_run:<run id> or undo:<run id>")
    verdict: Verdict | None = Field(None, description="None: what the live policy makes of all that is in the inbox")
    reasons: tuple[Reason, ...] = Field((), description="of that verdict; none: the cause")
    policy_version: str = Field("", description="of that verdict, where a policy other than the live one led to it")
    actor: str = Field("", description="who started what led to this; empty: nobody")
    review: timedelta = Field(timedelta(days=1), description="how long a person may take, if one is asked")


class SettleReview(Value):
    """Signal `settle`: whoever opened a review takes that back, and says what holds in its place."""

    cause: str = ""
    verdict: Verdict = Verdict.QUARANTINE
    reasons: tuple[Reason, ...] = ()
    policy_version: str = ""


class RemoderateResult(Value):
    """End of a `RemoderationWorkflow`."""

    media_id: str
    status: Status
    verdict: Verdict
    reason: str = ""


class PurgeInput(MediaRef):
    """Make caches forget everything public of an item."""

    reason: str = ""


class PurgeResult(Value):
    """What became of it; not `purged`: there is no hook, so there are no caches."""

    purged: bool = False


class AbortRequest(Value):
    """Update `abort`: stop this upload; it ends as rejected."""

    actor: str
    reason: str = ""


class SweepInput(Value):
    """How old things must be before the sweep looks after them."""

    start_after: timedelta = timedelta(seconds=20)
    mail_after: timedelta = Field(
        timedelta(seconds=40), description="longer than a claim: whoever took up a mail has ended it by then, or died"
    )
    leftover_after: timedelta = Field(
        timedelta(hours=1), description="age of an object in `work/` or `staging/` at which it is compared with its row"
    )
    limit: int = 500


class SweepResult(Value):
    """What one sweep did."""

    started: int = 0
    expired: int = 0
    delivered: int = 0
    mailed: int = 0
    cleared: int = 0
