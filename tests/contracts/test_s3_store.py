"""What only a real S3 store can show."""

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from mediagate.errors import StorageUnavailable
from mediagate.settings import Settings
from mediagate.storage import keys
from mediagate.storage.s3 import S3Store
from mediagate.storage.store import S3Address

ORIGIN = "http://127.0.0.1:8123"


def address(settings: Settings, **changes: object) -> S3Address:
    plain = S3Address(
        url=settings.s3_url,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        region=settings.s3_region,
        bucket=settings.s3_bucket,
    )
    return plain.model_copy(update=changes)


class TestBucket:
    async def test_is_created_once_and_lets_pages_upload(self, stack_settings: Settings) -> None:
        bucket = f"made-{uuid4().hex[:8]}"
        store = S3Store(address(stack_settings, bucket=bucket))
        with pytest.raises(StorageUnavailable, match="does not exist"):
            await store.ready()
        await store.ensure_bucket([ORIGIN])
        await store.ready()
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.options(
                f"{stack_settings.s3_url}/{bucket}",
                headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"},
            )
        store.close()
        assert answer.headers["access-control-allow-origin"] == ORIGIN

    async def test_refused_credentials_are_trouble_for_the_operator(self, stack_settings: Settings) -> None:
        store = S3Store(address(stack_settings, secret_key=SecretStr("wrong-secret")))
        with pytest.raises(StorageUnavailable, match="SignatureDoesNotMatch"):
            await store.put(keys.staging(str(uuid4())), b"x", content_type="image/jpeg")
        store.close()


class TestPublicAddress:
    async def test_presigned_uploads_name_the_address_that_uploaders_see(self, stack_settings: Settings) -> None:
        port = stack_settings.s3_url.rpartition(":")[2]
        key = keys.staging(str(uuid4()))
        for presign in ("post", "put"):
            store = S3Store(address(stack_settings, public_url=f"http://localhost:{port}", presign=presign))
            presigned = await store.presign_upload(
                key, content_type="image/jpeg", max_bytes=9, expires=timedelta(minutes=1)
            )
            store.close()
            assert presigned.url.startswith(f"http://localhost:{port}/{stack_settings.s3_bucket}")

    async def test_no_call_is_made_to_sign(self) -> None:
        nowhere = S3Address(
            url="http://127.0.0.1:9", access_key=SecretStr("a"), secret_key=SecretStr("b" * 8), bucket="none"
        )
        store = S3Store(nowhere)
        presigned = await store.presign_upload(
            keys.staging(str(uuid4())), content_type="image/jpeg", max_bytes=9, expires=timedelta(minutes=1)
        )
        store.close()
        assert presigned.fields["policy"]
