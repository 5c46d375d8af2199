"""The parts as the settings describe them; the same for every process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from mediagate.notify.smtp import SmtpMailer
from mediagate.settings import Settings
from mediagate.storage.s3 import S3Store
from mediagate.storage.store import S3Address
from mediagate.vendors.generic import GenericVendor

VENDOR_TIMEOUT = 15.0
"""Seconds for one call; shorter than the activity's limit, so that the vendor is named in the failure."""


def open_store(settings: Settings) -> S3Store:
    """The object store; the caller closes it."""
    return S3Store(
        S3Address(
            url=settings.s3_url,
            public_url=settings.s3_public_url,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key,
            region=settings.s3_region,
            bucket=settings.s3_bucket,
            presign=settings.s3_presign,
        )
    )


def open_mailer(settings: Settings) -> SmtpMailer:
    """The way out for mail."""
    return SmtpMailer(
        settings.smtp_host,
        settings.smtp_port,
        sender=settings.mail_from,
        username=settings.smtp_username,
        password=settings.smtp_password,
        start_tls=settings.smtp_tls,
    )


@asynccontextmanager
async def open_vendor(settings: Settings) -> AsyncIterator[GenericVendor]:
    """The moderation vendor, with a client of its own."""
    async with httpx.AsyncClient(timeout=httpx.Timeout(VENDOR_TIMEOUT), follow_redirects=False) as client:
        yield GenericVendor(
            name=settings.vendor_name,
            url=settings.vendor_url,
            api_key=settings.vendor_api_key,
            webhook_secrets=settings.vendor_webhook_secrets,
            client=client,
        )
