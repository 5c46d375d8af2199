"""What an S3 can do, tried out with an object of a few bytes that is deleted again."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum

import httpx
from minio.error import S3Error

from mediagate.errors import MediagateError
from mediagate.media.values import Value
from mediagate.storage import keys
from mediagate.storage.s3 import S3Store
from mediagate.storage.s3_errors import translated

TYPE = "text/plain"
TIMEOUT = 10.0
"""Seconds for one request of an uploader."""


class Feature(StrEnum):
    """What is tried."""

    REACHABLE = "reachable"
    COPY = "copy"
    """Copies inside the bucket, bytes and content type."""
    POST_POLICY = "post policy"
    """Presigned uploads whose type and size the store enforces; `MEDIAGATE_S3_PRESIGN=put` does without."""
    IF_NONE_MATCH = "if-none-match"
    """Writes that are refused where an object is already (RFC 9110, section 13.1.2)."""
    VERSIONING = "versioning"
    """The bucket keeps former versions: what is deleted still takes room, and can be had back."""
    OBJECT_LOCK = "object lock"
    """Objects can be kept from being deleted; evidence needs a bucket with it."""


NEEDED = frozenset({Feature.REACHABLE, Feature.COPY})
"""Without which a store is of no use."""


class Tried(Value):
    """What came of it. `works` None: it could not be tried."""

    feature: Feature
    works: bool | None
    detail: str = ""


class S3Probe(S3Store):
    """A store that can be tried out."""

    async def tried(self) -> list[Tried]:
        """Every feature; the first one that is needed and does not work is the last one that is tried."""
        key, copied = (keys.probe(secrets.token_hex(32)) for _ in range(2))
        trials: dict[Feature, Callable[[], bool]] = {
            Feature.REACHABLE: lambda: self._writes(key),
            Feature.COPY: lambda: self._copies(key, copied),
            Feature.POST_POLICY: lambda: self._enforces(copied),
            Feature.IF_NONE_MATCH: lambda: self._refuses_a_second(key),
            Feature.VERSIONING: self._keeps_versions,
            Feature.OBJECT_LOCK: self._locks,
        }
        found = list[Tried]()
        try:
            for feature, trial in trials.items():
                found.append(await self._run(_try, feature, trial))
                if feature in NEEDED and not found[-1].works:
                    break
        finally:
            with suppress(MediagateError):
                await self.delete_all([key, copied])
        tried = {one.feature for one in found}
        return found + [Tried(feature=feature, works=None) for feature in Feature if feature not in tried]

    def _writes(self, key: str) -> bool:
        self._ready()
        self._put(key, b"probe", TYPE, None)
        return self._get_bytes(key, 5) == b"probe"

    def _copies(self, key: str, to: str) -> bool:
        self._copy(key, to)
        return self._get_bytes(to, 5) == b"probe" and self._stat(to).content_type == TYPE

    def _enforces(self, key: str) -> bool:
        presigned = self._presigned_post(key, TYPE, 5, timedelta(minutes=1))
        with httpx.Client(timeout=TIMEOUT) as uploader:
            answers = [
                uploader.post(presigned.url, data=presigned.fields, files={"file": data})
                for data in (b"right", b"too large")
            ]
        return [answer.is_success for answer in answers] == [True, False] and self._get_bytes(key, 9) == b"right"

    def _refuses_a_second(self, key: str) -> bool:
        try:
            self._client._execute("PUT", self._bucket, key, body=b"other", headers={"If-None-Match": "*"})
        except S3Error as error:
            return error.code == "PreconditionFailed" and self._get_bytes(key, 5) == b"probe"
        return False

    def _keeps_versions(self) -> bool:
        with translated(self._bucket):
            return self._client.get_bucket_versioning(self._bucket).status == "Enabled"

    def _locks(self) -> bool:
        try:
            self._client.get_object_lock_config(self._bucket)
        except S3Error as error:
            if error.code == "ObjectLockConfigurationNotFoundError":
                return False
            raise
        except ValueError:  # the client misses a default retention, which no bucket needs
            return True
        return True


def _try(feature: Feature, trial: Callable[[], bool]) -> Tried:
    try:
        return Tried(feature=feature, works=trial())
    except (MediagateError, S3Error, httpx.HTTPError) as error:
        return Tried(feature=feature, works=False, detail=str(error))
