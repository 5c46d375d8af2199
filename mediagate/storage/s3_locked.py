"""The locked store on S3: a bucket with object lock, in compliance mode.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

import io
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import BinaryIO
from xml.etree.ElementTree import fromstring

from minio.commonconfig import COMPLIANCE
from minio.error import S3Error
from minio.helpers import MIN_PART_SIZE
from minio.retention import Retention

from mediagate.errors import Conflict, StorageUnavailable
from mediagate.storage.locked import ObjectLock
from mediagate.storage.s3 import S3Store
from mediagate.storage.s3_errors import translated

_NAMES = {"s3": "http://s3.amazonaws.com/doc/2006-03-01/"}
_NO_LOCK = "ObjectLockConfigurationNotFoundError"


class S3LockedStore(S3Store):
    """`LockedStore` on any S3 that has object lock."""

    async def put_locked(self, key: str, data: BinaryIO, *, content_type: str, retain_until: datetime) -> str:
        return await self._run(self._put_locked, key, data, content_type, retain_until)

    def _put_locked(self, key: str, data: BinaryIO, content_type: str, retain_until: datetime) -> str:
        size = data.seek(0, io.SEEK_END)
        data.seek(0)
        with translated(key):
            written = self._client.put_object(
                self._bucket,
                key,
                data,
                size,
                content_type=content_type,
                part_size=MIN_PART_SIZE,
                num_parallel_uploads=1,
                retention=Retention(COMPLIANCE, retain_until),
            )
        if not written.version_id:
            raise StorageUnavailable(f"The bucket {self._bucket!r} keeps no versions, so it locks nothing.")
        return written.version_id

    async def lock(self, key: str, version: str) -> ObjectLock:
        return await self._run(self._lock, key, version)

    def _lock(self, key: str, version: str) -> ObjectLock:
        with translated(key):
            retention = self._client.get_object_retention(self._bucket, key, version_id=version)
            held = self._client.is_object_legal_hold_enabled(self._bucket, key, version_id=version)
        return ObjectLock(
            retain_until=retention.retain_until_date if retention else None,
            compliance=retention is not None and retention.mode == COMPLIANCE,
            legal_hold=held,
        )

    async def set_legal_hold(self, key: str, version: str, *, on: bool) -> None:
        await self._run(self._set_legal_hold, key, version, on)

    def _set_legal_hold(self, key: str, version: str, on: bool) -> None:
        change = self._client.enable_object_legal_hold if on else self._client.disable_object_legal_hold
        with translated(key):
            change(self._bucket, key, version_id=version)

    async def delete_version(self, key: str, version: str) -> None:
        await self._run(self._delete_version, key, version)

    def _delete_version(self, key: str, version: str) -> None:
        with translated(key, missing_ok=True):
            # A store may forget the hold once the retention has ended (versitygw 1.8 does).
            if self._client.is_object_legal_hold_enabled(self._bucket, key, version_id=version):
                raise Conflict(f"The object {key!r} is locked by a legal hold.")
            try:
                self._client.remove_object(self._bucket, key, version_id=version)
            except S3Error as error:
                if error.code != "AccessDenied":
                    raise
                raise Conflict(f"The object {key!r} is locked: {error.message}") from error

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        last = ""
        marker: str | None = ""
        while marker is not None:
            page, marker = await self._run(self._versions, prefix, marker)
            for key in page:
                if key != last:  # of several versions; some stores repeat one at the border of a page, too
                    yield key
                last = key

    def _versions(self, prefix: str, marker: str) -> tuple[Sequence[str], str | None]:
        """Keys that have a version behind a key, and the last one if there are more.

        The client's own listing does not read every store's times of deletion markers (minio 7.2 with versitygw 1.8).
        """
        query = {"versions": "", "prefix": prefix, "key-marker": marker, "max-keys": "1000"}
        with translated(prefix):
            answer = self._client._execute("GET", self._bucket, query_params=dict(query))
        root = fromstring(answer.data)  # noqa: S314  # from our own store
        found = [key.text or "" for key in root.iterfind("s3:Version/s3:Key", _NAMES)]
        more = root.findtext("s3:IsTruncated", "", _NAMES) == "true"
        return found, root.findtext("s3:NextKeyMarker", None, _NAMES) if more else None

    async def ensure_locked_bucket(self) -> None:
        await self._run(self._ensure_locked_bucket)

    def _ensure_locked_bucket(self) -> None:
        with translated(self._bucket, already_ok=True):
            if not self._client.bucket_exists(self._bucket):
                self._client.make_bucket(self._bucket, location=self._address.region, object_lock=True)
        try:
            with translated(self._bucket):
                self._client.get_object_lock_config(self._bucket)
        except ValueError:
            return  # the client misses a default retention, which is wanted of no bucket
        except StorageUnavailable as error:
            if isinstance(error.__cause__, S3Error) and error.__cause__.code == _NO_LOCK:
                raise StorageUnavailable(
                    f"The bucket {self._bucket!r} was made without object lock: name another one in"
                    " MEDIAGATE_EVIDENCE_BUCKET, which is then made with it."
                ) from error
            raise
