"""The one error tree.

    MediagateError
    ├── CallerError                      the caller can mend it; never retried
    │   ├── InvalidRequest               422
    │   │   ├── InvalidWebhook           400  malformed webhook
    │   │   ├── EmptyFile                422
    │   │   ├── TooManyFiles             422
    │   │   ├── HashMismatch             422
    │   │   ├── SizeMismatch             422
    │   │   └── IdempotencyKeyReused     422
    │   ├── TooLarge                     413
    │   ├── UnsupportedType              415
    │   ├── NotAuthenticated             401
    │   │   └── BadSignature             401  unsigned, forged or stale
    │   ├── NotAllowed                   403
    │   │   └── WrongUploadToken         403
    │   ├── NotFound                     404
    │   │   └── ObjectMissing            404 to a caller; in an activity: the store has no such object
    │   ├── Conflict                     409
    │   │   ├── NotUploaded              409
    │   │   ├── RequestInProgress        409
    │   │   └── ObjectChanged            409  an object of an import is not the one that was listed
    │   ├── Expired                      410
    │   └── TooManyRequests              429, with Retry-After
    │       ├── QuotaExceeded            the library's own limit
    │       └── Backlogged               the gate has more to do than it can
    ├── Unavailable                      503  infrastructure or vendor trouble; retried, alerts
    │   ├── StorageUnavailable
    │   ├── DatabaseUnavailable
    │   ├── WorkflowsUnavailable
    │   ├── VendorUnavailable
    │   ├── MailUnavailable
    │   ├── PurgeUnavailable         caches may still show what was taken down
    │   ├── DecoderDied              crashed, hung or out of memory; after three times the file is set apart
    │   ├── WatermarkUnusable        uploads wait until the library's mark is mended
    │   ├── PolicyUnusable           uploads wait until a policy is live that this release can read
    │   ├── ClassifierUnusable       uploads wait until the local model is mended
    │   ├── ScannerUnavailable       uploads wait, unless MEDIAGATE_CLAMD_FAIL_CLOSED is off
    │   ├── EvidenceKeyMissing       what was sealed cannot be opened, nor anything be sealed, until it is back
    │   ├── BackupFailed             a program that makes or restores a backup did not get to its end
    │   ├── SwitchedOff              an operator switched this off by a flag
    │   ├── SpaceShort               `/health/deep`
    │   ├── SchemaBehind             `/health/deep`
    │   └── QueueUnserved            `/health/deep`
    └── BrokenInvariant                  500  a bug or tampering; fails the run, named by `FailureKind`
        ├── IllegalTransition
        ├── ObjectCorrupt
        └── PoisonedFile

A class answers two questions: can the same call succeed if it is tried again (`retryable`), and what does a caller see
(`status`, `code` and the message). The first line of the docstring is the default message. The tree is translated at
two borders only: `activities/_border.py` (to Temporal) and `api/problems.py` (to RFC 9457 problem documents).
"""

import re
from typing import ClassVar


class MediagateError(Exception):
    """Something went wrong."""

    retryable: ClassVar[bool] = False
    status: ClassVar[int] = 500

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        """`retry_after`: seconds after which another try makes sense, where the other side said so."""
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.retry_after = retry_after
        super().__init__(self.message)

    @property
    def code(self) -> str:
        """The stable, machine-readable name: the class name in snake case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def title(self) -> str:
        """A short text that is the same for every occurrence."""
        return self.code.replace("_", " ").capitalize()


class CallerError(MediagateError):
    """The request cannot be carried out as it was sent."""

    status = 400


class InvalidRequest(CallerError):
    """The request is not valid."""

    status = 422


class InvalidWebhook(InvalidRequest):
    """The webhook body is not a vendor result this gate understands."""

    status = 400


class EmptyFile(InvalidRequest):
    """The file is empty."""


class TooManyFiles(InvalidRequest):
    """More files than one request may carry."""


class HashMismatch(InvalidRequest):
    """The SHA-256 does not match the object that was stored."""


class SizeMismatch(InvalidRequest):
    """The size does not match the object that was stored."""


class IdempotencyKeyReused(InvalidRequest):
    """This Idempotency-Key was used with another request body."""


class TooLarge(CallerError):
    """The body is larger than the limit."""

    status = 413


class UnsupportedType(CallerError):
    """This content type is not accepted here."""

    status = 415


class NotAuthenticated(CallerError):
    """A valid API key is needed: `Authorization: Bearer <key>`."""

    status = 401


class BadSignature(NotAuthenticated):
    """The signature is missing, wrong or too old."""


class NotAllowed(CallerError):
    """This key is not allowed to do that."""

    status = 403


class WrongUploadToken(NotAllowed):
    """The upload token does not belong to this upload."""


class NotFound(CallerError):
    """There is no such thing here."""

    status = 404


class ObjectMissing(NotFound):
    """The object store has no object under this key."""


class Conflict(CallerError):
    """The present state does not allow that."""

    status = 409


class NotUploaded(Conflict):
    """The object has not been uploaded yet: send it to the presigned URL first."""


class RequestInProgress(Conflict):
    """A request with this Idempotency-Key is still being worked on."""


class ObjectChanged(Conflict):
    """The object is not the one any more that was to be imported."""


class Expired(CallerError):
    """The time for this has run out."""

    status = 410


class TooManyRequests(CallerError):
    """Too much at once; send it again later."""

    status = 429


class QuotaExceeded(TooManyRequests):
    """The library has used up what it may upload for now."""


class Backlogged(TooManyRequests):
    """More pictures wait than the workers get done; send it again later."""


class Unavailable(MediagateError):
    """A part this needs does not answer at the moment; try again."""

    retryable = True
    status = 503


class StorageUnavailable(Unavailable):
    """The object store does not answer at the moment; try again."""


class DatabaseUnavailable(Unavailable):
    """The database does not answer at the moment; try again."""


class WorkflowsUnavailable(Unavailable):
    """The workflow service does not answer at the moment; try again."""


class VendorUnavailable(Unavailable):
    """The moderation vendor does not answer at the moment; try again."""


class MailUnavailable(Unavailable):
    """The mail server does not take the message at the moment; try again."""


class PurgeUnavailable(Unavailable):
    """The purge hook does not answer at the moment; try again."""


class DecoderDied(Unavailable):
    """Working on the picture crashed its decoder, or took too long or too much memory."""


class WatermarkUnusable(Unavailable):
    """The library's watermark cannot be used: mend it in the library's settings; its uploads wait and try again."""


class PolicyUnusable(Unavailable):
    """The library's policy cannot be read by this release: make another one live; uploads wait and try again."""


class ClassifierUnusable(Unavailable):
    """The local classifier cannot be used: mend MEDIAGATE_ONNX_*; uploads wait and try again."""


class ScannerUnavailable(Unavailable):
    """The malware scanner does not answer at the moment; try again."""


class EvidenceKeyMissing(Unavailable):
    """The key that evidence is sealed with is not here: set MEDIAGATE_EVIDENCE_KEYS and try again."""


class BackupFailed(Unavailable):
    """The backup, or its restore, did not get to its end; try again."""


class SwitchedOff(Unavailable):
    """This is switched off for maintenance; try again later."""


class SpaceShort(Unavailable):
    """A disk or the object store is nearly full: make room; `mediagate storage stats` shows where."""


class SchemaBehind(Unavailable):
    """The database lacks migrations: run `mediagate db upgrade` and try again."""


class QueueUnserved(Unavailable):
    """No worker serves this task queue: start one (`python -m worker --role …`) and try again."""


class BrokenInvariant(MediagateError):
    """Something that must always hold does not."""


class IllegalTransition(BrokenInvariant):
    """The media may not go from its present status to the one asked for."""


class ObjectCorrupt(BrokenInvariant):
    """An object's bytes do not have the SHA-256 that was recorded for them."""


class PoisonedFile(BrokenInvariant):
    """Working on this file ended its worker again and again."""
