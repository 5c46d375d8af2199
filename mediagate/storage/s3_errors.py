"""What the `minio` client and `urllib3` raise, in the words of the error tree."""

from collections.abc import Iterator
from contextlib import contextmanager

from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

from mediagate.errors import Conflict, InvalidRequest, MediagateError, ObjectMissing, StorageUnavailable, TooLarge

_MISSING = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchVersion"})
_ALREADY = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
_CALLER: dict[str, type[MediagateError]] = {
    "EntityTooLarge": TooLarge,
    "InvalidRange": InvalidRequest,
    "KeyTooLongError": InvalidRequest,
    "PreconditionFailed": Conflict,
}


@contextmanager
def translated(name: str, *, missing_ok: bool = False, already_ok: bool = False) -> Iterator[None]:
    """Turn errors about `name` (a key or a bucket) into the project's own.

    What is neither a missing object nor the caller's fault counts as unavailable, refused credentials and a full disk
    included: an operator mends it and the same call then works.
    """
    try:
        yield
    except S3Error as error:
        if (missing_ok and error.code in _MISSING) or (already_ok and error.code in _ALREADY):
            return
        raise _from_s3(error, name) from error
    except (MinioException, HTTPError) as error:
        raise StorageUnavailable(f"The object store gave no usable answer for {name!r}: {error}") from error


def _from_s3(error: S3Error, name: str) -> MediagateError:
    if error.code in _MISSING:
        return ObjectMissing(f"The object store has no object {name!r}.")
    message = f"The object store refused {name!r}: {error.code}, {error.message}"
    if error.code in _CALLER:
        return _CALLER[error.code](message)
    return StorageUnavailable(message, retry_after=_retry_after(error))


def _retry_after(error: S3Error) -> float | None:
    value = error.response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None
