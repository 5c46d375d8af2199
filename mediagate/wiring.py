"""The parts as the settings describe them; the same for every process."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
from pydantic import SecretStr

from mediagate.evidence.keys import LocalKeys
from mediagate.malware.clamd import ClamdScanner
from mediagate.moderation.findings import LOCAL_VENDOR
from mediagate.notify.purging import HookPurger
from mediagate.notify.smtp import SmtpMailer
from mediagate.settings import Settings, VendorKind, VendorSettings
from mediagate.storage.placement import DEFAULT, Look, Placements
from mediagate.storage.routed import RoutedStore
from mediagate.storage.s3 import S3Store
from mediagate.storage.s3_locked import S3LockedStore
from mediagate.storage.store import ObjectStore, S3Address
from mediagate.vault import Vault
from mediagate.vendors.generic import GenericVendor
from mediagate.vendors.google_vision import GoogleVisionVendor
from mediagate.vendors.hive import HiveVendor
from mediagate.vendors.interface import ModerationVendor
from mediagate.vendors.local import LocalVendor
from mediagate.vendors.openai import OpenAIVendor
from mediagate.vendors.rekognition import RekognitionVendor
from mediagate.vendors.sightengine import SightengineVendor

if TYPE_CHECKING:  # Pillow: not for the processes that open no pictures
    from mediagate.classifier import ClassifierConfig

VENDOR_TIMEOUT = 15.0
"""Seconds for one call; shorter than the activity's limit, so that the vendor is named in the failure."""


PURGE_TIMEOUT = 10.0
"""Seconds for one call of the purge hook."""


def open_store(settings: Settings) -> S3Store:
    """The default store; the caller closes it. Libraries may be in others: see `open_stores`."""
    return S3Store(_s3_address(settings, settings.s3_bucket))


def open_stores(settings: Settings) -> dict[str, S3Store]:
    """Every store by its name; the caller closes them, or the `RoutedStore` over them. Nothing is connected."""
    return {name: S3Store(address) for name, address in store_addresses(settings).items()}


def store_addresses(settings: Settings) -> dict[str, S3Address]:
    """Where every store is, by its name."""
    own = _s3_address(settings, settings.s3_bucket)
    addresses = {DEFAULT: own}
    for name, one in settings.stores.items():
        elsewhere = {"public_url": None} if one.url else {}
        addresses[name] = own.model_copy(update=one.model_dump(exclude_none=True) | elsewhere)
    return addresses


def routed(stores: Mapping[str, ObjectStore], look: Look) -> RoutedStore:
    """The stores as one. `look`: says in which one a library is."""
    return RoutedStore(stores, Placements(look))


def open_import_sources(settings: Settings) -> dict[str, S3Store]:
    """Where imports read from, by name; the caller closes them. Nothing is connected."""
    own = _s3_address(settings, settings.s3_bucket)
    place = {"bucket", "url", "access_key", "secret_key", "region"}
    return {
        name: S3Store(own.model_copy(update=source.model_dump(include=place, exclude_none=True)))
        for name, source in settings.import_sources.items()
    }


def open_vault(settings: Settings) -> Vault | None:
    """Where evidence is sealed; None without keys. Nothing is connected; the caller closes its store.

    Raises:
        ValueError: a key is not written as it must be.
    """
    if not settings.evidence_keys:
        return None
    bucket = settings.evidence_bucket or f"{settings.s3_bucket}-evidence"
    return Vault(
        keys=LocalKeys(settings.evidence_keys),
        store=S3LockedStore(_s3_address(settings, bucket)),
        retention=timedelta(seconds=settings.evidence_retention),
    )


def _s3_address(settings: Settings, bucket: str) -> S3Address:
    return S3Address(
        url=settings.s3_url,
        public_url=settings.s3_public_url,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        region=settings.s3_region,
        bucket=bucket,
        presign=settings.s3_presign,
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
        case VendorKind.SIGHTENGINE:
            return SightengineVendor(
                name=name,
                url=settings.url,
                api_user=settings.api_key,
                api_secret=settings.api_secret,
                models=settings.models,
                client=client,
            )
        case VendorKind.HIVE:
            return HiveVendor(
                name=name,
                url=settings.url,
                api_key=settings.api_key,
                webhook_secrets=settings.webhook_secrets,
                models=settings.models,
                client=client,
            )
        case VendorKind.OPENAI:
            return OpenAIVendor(
                name=name, url=settings.url, api_key=settings.api_key, models=settings.models, client=client
            )
        case VendorKind.GOOGLE_VISION:
            return GoogleVisionVendor(
                name=name, url=settings.url, api_key=settings.api_key, models=settings.models, client=client
            )
        case VendorKind.REKOGNITION:
            return RekognitionVendor(
                name=name,
                url=settings.url,
                api_key=settings.api_key,
                api_secret=settings.api_secret,
                session_token=settings.session_token,
                region=settings.region,
                models=settings.models,
                client=client,
            )


def open_scanner(settings: Settings) -> ClamdScanner | None:
    """The malware scanner; None if there is none. Nothing is connected.

    Raises:
        ValueError: its address is not host:port.
    """
    if not settings.clamd:
        return None
    host, _, port = settings.clamd.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"MEDIAGATE_CLAMD is {settings.clamd!r}: set it to host:port, as in 127.0.0.1:3310.")
    return ClamdScanner(host.removeprefix("[").removesuffix("]"), int(port))


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
