"""The parts as the settings describe them; the same for every process."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from pydantic import SecretStr

from mediagate.moderation.findings import LOCAL_VENDOR
from mediagate.notify.purging import HookPurger
from mediagate.notify.smtp import SmtpMailer
from mediagate.settings import Settings, VendorKind, VendorSettings
from mediagate.storage.s3 import S3Store
from mediagate.storage.store import S3Address
from mediagate.vendors.generic import GenericVendor
from mediagate.vendors.interface import ModerationVendor
from mediagate.vendors.local import LocalVendor

if TYPE_CHECKING:  # Pillow: not for the processes that open no pictures
    from mediagate.classifier import ClassifierConfig

VENDOR_TIMEOUT = 15.0
"""Seconds for one call; shorter than the activity's limit, so that the vendor is named in the failure."""


PURGE_TIMEOUT = 10.0
"""Seconds for one call of the purge hook."""


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


def classifier_config(settings: Settings) -> "ClassifierConfig | None":
    """Which model looks at every picture; None if none is configured. Nothing is opened."""
    from mediagate.classifier import ClassifierConfig

    if not (settings.onnx_model and settings.onnx_sha256 and settings.onnx_labels):
        return None
    return ClassifierConfig(model=settings.onnx_model, sha256=settings.onnx_sha256.lower(), labels=settings.onnx_labels)


@asynccontextmanager
async def open_vendors(settings: Settings) -> AsyncIterator[Mapping[str, ModerationVendor]]:
    """Every vendor that may be asked, by name, with a client of its own if it is somewhere else.

    Raises:
        ValueError: a vendor's settings lack what its wire format needs; the message names both.
    """
    async with AsyncExitStack() as stack:
        vendors: dict[str, ModerationVendor] = {}
        for name, one in settings.vendors.items():
            client = httpx.AsyncClient(timeout=httpx.Timeout(one.timeout), follow_redirects=False)
            vendors[name] = _vendor(name, one, await stack.enter_async_context(client))
        if settings.vendor_name == LOCAL_VENDOR:
            vendors[LOCAL_VENDOR] = LocalVendor()
        elif settings.vendor_name not in vendors:
            client = httpx.AsyncClient(timeout=httpx.Timeout(VENDOR_TIMEOUT), follow_redirects=False)
            vendors[settings.vendor_name] = GenericVendor(
                name=settings.vendor_name,
                url=settings.vendor_url,
                api_key=settings.vendor_api_key,
                webhook_secrets=settings.vendor_webhook_secrets,
                client=await stack.enter_async_context(client),
            )
        yield vendors


def _vendor(name: str, settings: VendorSettings, client: httpx.AsyncClient) -> ModerationVendor:
    match settings.kind:
        case VendorKind.GENERIC:
            return GenericVendor(
                name=name,
                url=settings.url,
                api_key=settings.api_key,
                webhook_secrets=settings.webhook_secrets,
                client=client,
            )
        case _:
            raise ValueError(f"Vendor {name}: the wire format {settings.kind.value} is not known.")


@asynccontextmanager
async def open_purger(settings: Settings) -> AsyncIterator[HookPurger | None]:
    """The way to the CDN, with a client of its own; None without a hook.

    Raises:
        ValueError: its secret is missing, or is not `whsec_` and base64.
    """
    if not settings.purge_url:
        yield None
        return
    async with httpx.AsyncClient(timeout=httpx.Timeout(PURGE_TIMEOUT), follow_redirects=False) as client:
        yield HookPurger(url=settings.purge_url, secret=settings.purge_secret or SecretStr(""), client=client)
