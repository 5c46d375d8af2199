"""Everything that is read from the environment, in one class.

`TEMPORAL_*` is not here: the SDK's own environment configuration reads it (`mediagate/temporal.py`).
Durations are seconds, sizes are bytes. Every variable is described in `docs/configuration.md`, which is made from this.
"""

import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, computed_field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mediagate.media.imports import MOST_AT_ONCE
from mediagate.media.values import MIB, LimitOverrides, Limits
from mediagate.moderation.findings import DETECTORS, LOCAL_VENDOR
from mediagate.storage.keys import IMPORTS

Comma = Annotated[tuple[str, ...], NoDecode]


def _state_dir() -> Path:
    return Path(os.environ.get("MEDIAGATE_STATE_DIR", ".mediagate")).absolute()


MOST_MAX_AGE = 24 * 3600
"""Seconds for which caches may be allowed to keep a public picture."""


class VendorKind(StrEnum):
    """Wire formats; one module of `mediagate.vendors` each."""

    GENERIC = "generic"
    SIGHTENGINE = "sightengine"
    HIVE = "hive"
    OPENAI = "openai"
    GOOGLE_VISION = "google_vision"
    REKOGNITION = "rekognition"


class VendorSettings(BaseModel):
    """One of `MEDIAGATE_VENDORS`. What is None is as the vendor's documentation says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: VendorKind
    url: str = Field("", description="base URL; default: the vendor's own")
    api_key: SecretStr = Field(SecretStr(""), description="API key, token, or access key id")
    api_secret: SecretStr = Field(SecretStr(""), description="secret that goes with it, where there is one")
    session_token: SecretStr = Field(SecretStr(""), description="AWS session token of temporary keys")
    webhook_secrets: tuple[SecretStr, ...] = Field((), description="more than one during a rotation")
    region: str = Field("us-east-1", description="AWS region")
    models: tuple[str, ...] = Field((), description="models to run, where the vendor has several")
    timeout: float = Field(15, gt=0, le=25, description="seconds for one call")
    give_up_after: float = Field(1800, gt=0, description="seconds of tries after which a submission is given up")
    wait: float | None = Field(None, gt=0, description="seconds for a webhook; default: vendor_wait")
    calls_per_second: float | None = Field(None, gt=0, description="rate limit, over all workers")
    cost_micros: int | None = Field(None, ge=0, description="price of one picture, millionths of a US dollar")
    cache_for: float = Field(30 * 24 * 3600, ge=0, description="seconds for which a result holds for the same bytes")
    breaker_failures: int = Field(5, ge=1, description="failures in a row that open the circuit breaker")
    breaker_rest: float = Field(30, gt=0, description="seconds for which an open breaker lets nothing through")


class StoreSettings(BaseModel):
    """One of `MEDIAGATE_STORES`. What is None is as for the default store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str = Field(min_length=3, description="its own: no two stores share one")
    url: str | None = Field(None, description="http(s)://host[:port], as this process sees it")
    access_key: SecretStr | None = Field(None, description="access key id")
    secret_key: SecretStr | None = Field(None, description="secret access key")
    region: str | None = Field(None, description="fixed, so that it is never looked up")


class ImportSource(BaseModel):
    """One of `MEDIAGATE_IMPORT_SOURCES`. What is None is as for the default store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    libraries: tuple[str, ...] = Field(min_length=1, description="slugs of who may import from it; * for all")
    bucket: str | None = Field(None, min_length=3, description="it is only read")
    prefix: str = Field("", pattern="^([^/].*/)?$", description="nothing outside of it is read; ends with a slash")
    url: str | None = Field(None, description="http(s)://host[:port], as workers see it; needs keys of its own")
    access_key: SecretStr | None = Field(None, description="access key id")
    secret_key: SecretStr | None = Field(None, description="secret access key")
    region: str | None = Field(None, description="fixed, so that it is never looked up")

    def serves(self, library: str) -> bool:
        """True if that library may import from it."""
        return bool({library, "*"} & set(self.libraries))


class Settings(BaseSettings):
    """Settings of every process; `MEDIAGATE_<NAME>` in the environment."""

    model_config = SettingsConfigDict(
        env_prefix="MEDIAGATE_", extra="ignore", frozen=True, secrets_dir=os.environ.get("MEDIAGATE_SECRETS_DIR")
    )

    secrets_dir: Path | None = Field(
        None,
        description="folder of secrets, read at the start: files named like variables in small letters, such as"
        " `mediagate_database_url`; what the environment has wins",
    )
    state_dir: Path = Field(default_factory=_state_dir, description="where `dev` and `demo` keep their state")
    environment: str = Field(
        "production",
        pattern="^(development|staging|production)$",
        description="what this deployment is; only in `development` may `mediagate db reset` empty a database",
    )

    # Postgres
    database_url: SecretStr = Field(
        SecretStr("postgresql://postgres@127.0.0.1:5432/mediagate"), description="libpq URL of the database"
    )
    database_pool: int = Field(10, ge=1, description="connections kept per process")

    # Backups (docs/runbooks/recovery.md)
    backup_dir: Path | None = Field(
        None, description="folder of database backups, those before migrations too; default: in the state folder"
    )
    backup_keep: int = Field(5, ge=1, description="backups before migrations that are kept, the newest")
    backup_target: str | None = Field(
        None, description="where `mediagate backup` keeps database and objects: a folder, or s3://bucket/prefix"
    )
    backup_s3_url: str | None = Field(None, description="endpoint of the store of that bucket; default: s3_url")
    backup_s3_access_key: SecretStr | None = Field(None, description="access key id there; default: s3_access_key")
    backup_s3_secret_key: SecretStr | None = Field(None, description="secret there; default: s3_secret_key")
    backup_s3_region: str | None = Field(None, description="region there; default: s3_region")

    # S3
    s3_url: str = Field("http://127.0.0.1:9000", description="endpoint of the object store as this process sees it")
    s3_public_url: str | None = Field(None, description="endpoint as uploaders see it; default: the same")
    s3_access_key: SecretStr = Field(SecretStr("mediagate"), description="access key id")
    s3_secret_key: SecretStr = Field(SecretStr("mediagate-local"), description="secret access key")
    s3_region: str = Field("us-east-1", description="fixed, so that it is never looked up")
    s3_bucket: str = Field("mediagate", description="holds every library that was not moved to one of `stores`")
    s3_presign: str = Field("post", pattern="^(post|put)$", description="put: for stores without POST policies")
    stores: dict[str, StoreSettings] = Field(
        {}, description="JSON object: further stores by name, for libraries to be moved to (docs/runbooks/stores.md)"
    )

    # Imports (docs/runbooks/imports.md)
    import_sources: dict[str, ImportSource] = Field(
        {}, description="JSON object: where libraries may import objects from, by name; none: nothing is imported"
    )
    import_at_once: int = Field(
        20, ge=1, le=MOST_AT_ONCE, description="uploads that one import may have under way; it may ask for fewer"
    )
    import_max_items: int = Field(100_000, ge=1, le=1_000_000, description="most objects of one import")

    # HTTP
    api_host: str = Field("127.0.0.1", description="address the API listens on")
    api_port: int = Field(8000, ge=0, le=65535, description="port the API listens on")
    internal_address: str | None = Field(
        None, description="host:port where the API serves /metrics and /health without a key; not for the public"
    )
    metrics_public: bool = Field(False, description="serve /metrics on the API's own port as well, to everybody")
    public_url: str = Field("http://127.0.0.1:8000", description="how callers and vendors reach the API")
    delivery_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="comma-separated keys that sign delivery URLs; the first signs, all verify"
    )
    delivery_expires: int = Field(3600, ge=1, description="least lifetime of a signed delivery URL")
    delivery_url: str | None = Field(None, description="base of public pictures' URLs: a CDN; default: public_url")
    delivery_max_age: int = Field(
        0, ge=0, description="how long caches may keep public pictures; 0: they ask each time; more needs purge_url"
    )
    purge_url: str | None = Field(None, description="hook that is told what caches must forget after a takedown")
    purge_secret: SecretStr | None = Field(None, description="whsec_… secret that signs what the hook is told")
    temporal_ui_url: str | None = Field(None, description="base URL of the Temporal Web UI, for links")

    # Limits
    max_file_size: int = Field(64 * MIB, ge=1, description="largest file; a library may set its own")
    max_files_per_request: int = Field(20, ge=1, description="most files of one multipart request")
    max_pixels: int = Field(64_000_000, ge=1, description="width × height × frames looked at")
    max_edge: int = Field(30_000, ge=1, description="longest edge in pixels")
    plans: dict[str, LimitOverrides] = Field(
        {}, description="JSON object: limits by the name of a plan, for libraries whose `limits.plan` names it"
    )
    max_backlog: int = Field(20_000, ge=1, description="pictures waiting for a worker from which uploads are put off")
    upload_expires: int = Field(900, ge=1, description="lifetime of a presigned upload")

    # Moderation vendor (generic webhook vendor)
    vendor_name: str = Field(
        "simulated", description="the vendor in webhook URLs and findings; onnx: none but the local classifier"
    )
    vendor_url: str = Field("http://127.0.0.1:8099", description="where files are submitted and polled")
    vendor_api_key: SecretStr = Field(SecretStr(""), description="sent to the vendor as a bearer token")
    vendor_webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="comma-separated whsec_… secrets; more than one during a rotation"
    )
    vendor_wait: float = Field(600, gt=0, description="how long to wait for a webhook before the vendor is polled")
    vendor_polls: int = Field(3, ge=1, description="polls without an answer before a person is asked")
    review_deadline: float = Field(86_400, gt=0, description="how long a review may take before the default verdict")

    vendors: dict[str, VendorSettings] = Field(
        {}, description="JSON object: further vendors by name, for policies to ask (docs/vendors.md)"
    )

    # Storage care (docs/runbooks/storage.md)
    trash_days: float = Field(30, ge=0, le=3650, description="days for which what was thrown away can be restored")
    scrub: str = Field(
        "full",
        pattern="^(full|quick|off)$",
        description="what the nightly scrub compares: SHA-256 of every object, or sizes; off: there is none",
    )
    scrub_repair: bool = Field(True, description="the nightly scrub puts back what was lost or altered, if it can")
    scrub_rate: int = Field(20 * MIB, ge=0, description="bytes that a scrub reads per second at most; 0: no bound")
    nightly_hour: int = Field(2, ge=0, le=23, description="UTC hour of the nightly scrub; retention is an hour later")
    store_capacity: int | None = Field(None, ge=1, description="bytes that the object store has room for, if known")
    space_alert: float = Field(
        0.9, gt=0, le=1, description="share of a disk, or of the store, in use from which admins are told"
    )

    # Reports and checks (docs/runbooks/reports.md)
    digest: str = Field(
        "daily",
        pattern="^(daily|weekly|off)$",
        description="how often admins are told what happened: of the day before, or on Mondays of the week before",
    )
    digest_hour: int = Field(6, ge=0, le=23, description="UTC hour of the digest")
    sla_seconds: float = Field(
        300, gt=0, description="objective of reports: from acceptance to a decision that needs no person"
    )
    vendor_health_every: float = Field(
        300, ge=0, description="between two checks whether each vendor answers; 0: there are none"
    )
    vendor_health_failures: int = Field(
        3, ge=1, description="failed checks in a row after which admins are told of a vendor's outage"
    )

    # Malware scan (docs/runbooks/malware.md)
    clamd: str | None = Field(None, description="host:port of clamd; every upload is scanned (INSTREAM)")
    clamd_fail_closed: bool = Field(True, description="while clamd is away uploads wait; false: they go on unscanned")

    # Evidence (docs/runbooks/evidence.md)
    evidence_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="comma-separated id:base64 keys of 32 bytes; the first seals, all open; none: nothing is sealed"
    )
    evidence_bucket: str | None = Field(None, description="bucket with object lock; default: <s3_bucket>-evidence")
    evidence_retention: float = Field(
        365 * 24 * 3600, gt=0, description="seconds for which the store refuses to delete sealed evidence"
    )

    # Local classifier (docs/runbooks/classifier.md)
    onnx_model: Path | None = Field(None, description="ONNX model that looks at every picture; needs mediagate[onnx]")
    onnx_sha256: str | None = Field(None, pattern="^[0-9a-fA-F]{64}$", description="SHA-256 that its file must have")
    onnx_labels: Path | None = Field(None, description="its label map, a JSON file")

    # Watermarks (docs/runbooks/watermark.md)
    watermark_font: Path | None = Field(
        None, description="font file for watermark texts (TTF, OTF, TTC); default: the bundled DejaVu Sans"
    )

    # Notifications
    smtp_host: str = Field("127.0.0.1", description="mail server")
    smtp_port: int = Field(1025, description="its port")
    smtp_username: str | None = Field(None, description="log-in at the mail server, if it wants one")
    smtp_password: SecretStr | None = Field(None, description="password of that log-in")
    smtp_tls: bool = Field(False, description="demand STARTTLS")
    mail_from: str = Field("mediagate@localhost", description="sender of every mail")
    admin_mails: Comma = Field((), description="comma-separated addresses of admins")

    # Worker
    cpu_slots: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="pictures worked on at once; computed: the cores"
    )
    io_slots: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="activities of the role io at once; more for a store that is far away; computed: the cores",
    )
    memory_budget: int = Field(0, ge=0, description="bytes that decoded pictures may take; 0: a quarter of the RAM")
    picture_time_limit: float = Field(120, gt=0, description="after which work on one picture is stopped")
    cache_bytes: int = Field(2 * 1024 * MIB, ge=0, description="disk bytes for downloaded sources")
    cache_dir: Path | None = Field(None, description="folder of that cache; default: in the state folder")
    shutdown_grace: float = Field(30, ge=0, description="how long requests and activities may finish after SIGTERM")
    drain_delay: float = Field(
        0, ge=0, description="how long the API says that it is not ready, and serves, before it stops after SIGTERM"
    )
    metrics_address: str | None = Field(
        None, description="host:port where the worker serves /metrics; not for the public"
    )

    # Worker versions (docs/runbooks/worker-versions.md)
    deployment: str = Field(
        "mediagate", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$", description="worker deployment of this gate's workers"
    )
    build_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$",
        description="version of these workers: a release or image tag; auto: made from the code; none: unversioned",
    )

    # Logs
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: str = Field("json", pattern="^(json|console)$", description="json, or console for people")
    log_dir: Path | None = Field(None, description="folder of log files, which rotate; default: standard error alone")
    log_max_bytes: int = Field(50 * MIB, ge=4096, description="size at which a log file is put aside")
    log_keep: int = Field(10, ge=0, description="files of each process that are kept after they were put aside")
    log_database: bool = Field(False, description="keep log lines in the database as well (`mediagate logs`)")
    log_database_days: float = Field(7, gt=0, description="days for which they are kept there")
    otlp_endpoint: str | None = Field(None, description="base URL of an OpenTelemetry collector (OTLP over HTTP)")
    trace_share: float = Field(1.0, ge=0, le=1, description="share of the traces begun here that are kept")

    @field_validator("delivery_secrets", "vendor_webhook_secrets", "admin_mails", "evidence_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("vendors", "plans", "stores", "import_sources", mode="before")
    @classmethod
    def _parsed(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("vendors")
    @classmethod
    def _named(cls, value: dict[str, VendorSettings]) -> dict[str, VendorSettings]:
        for name in value:
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", name):
                raise ValueError(f"{name!r} is no name of a vendor: a-z first, then a-z, 0-9, _ or -.")
            if name in DETECTORS:
                raise ValueError(f"{name!r} is the name of a detector of the gate's own; choose another one.")
        return value

    @model_validator(mode="after")
    def _stores_apart(self) -> Self:
        """Two names for one bucket would make a move delete what it has just brought there."""
        taken = {(self.s3_url, self.s3_bucket), (self.s3_url, self.evidence_bucket or f"{self.s3_bucket}-evidence")}
        for name, store in self.stores.items():
            if name == "default" or not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name):
                raise ValueError(f"{name!r} is no name of a store: a-z first, then a-z, 0-9 or -; `default` is taken.")
            place = (store.url or self.s3_url, store.bucket)
            if place in taken:
                raise ValueError(f"The bucket {store.bucket!r} of the store {name!r} is in use already: name another.")
            taken.add(place)
        return self

    @model_validator(mode="after")
    def _sources_apart(self) -> Self:
        """What the gate keeps for one library must not be imported by another, nor evidence by anybody."""
        own = {self.s3_bucket, self.evidence_bucket or f"{self.s3_bucket}-evidence"}
        own |= {store.bucket for store in self.stores.values()}
        for name, source in self.import_sources.items():
            if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name):
                raise ValueError(f"{name!r} is no name of an import source: a-z first, then a-z, 0-9 or -.")
            if (source.bucket or self.s3_bucket) in own and not source.prefix.startswith(IMPORTS):
                raise ValueError(f"The bucket of the import source {name!r} is the gate's own: begin at {IMPORTS!r}.")
            if (source.url is not None or source.access_key is not None) and not (
                source.access_key and source.secret_key
            ):
                raise ValueError(f"The import source {name!r} needs access_key and secret_key of its own.")
        return self

    def vendor(self, name: str) -> VendorSettings:
        """How a vendor is dealt with; the deployment's own has the defaults unless it is one of `vendors`."""
        return self.vendors.get(name) or VendorSettings(kind=VendorKind.GENERIC)

    def kind_of(self, name: str) -> str:
        """A vendor's wire format; `local` for the classifier."""
        return "local" if name == LOCAL_VENDOR else self.vendor(name).kind.value

    @property
    def vendor_names(self) -> tuple[str, ...]:
        """Every vendor that a policy may ask; the first is asked where a policy names none."""
        return (self.vendor_name, *(name for name in self.vendors if name != self.vendor_name))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def uploads_url(self) -> str:
        """Endpoint that presigned URLs name."""
        return self.s3_public_url or self.s3_url

    @property
    def trash_time(self) -> timedelta:
        """How long what was thrown away can be restored."""
        return timedelta(days=self.trash_days)

    @property
    def review_time(self) -> timedelta:
        """How long a review may take."""
        return timedelta(seconds=self.review_deadline)

    @property
    def delivery_base(self) -> str:
        """Base of the URLs that the public gets; those that need a key, and vendors', are on `public_url`."""
        return self.delivery_url or self.public_url

    def limits(self, overrides: Mapping[str, Any]) -> Limits:
        """The limits of a library by its settings: its own, else its plan's, else the deployment's."""
        own = {"max_bytes": self.max_file_size, "max_pixels": self.max_pixels, "max_edge": self.max_edge}
        mine = LimitOverrides.model_validate(overrides.get("limits", {}))
        plan = self.plans.get(mine.plan or "", LimitOverrides())
        return Limits.model_validate(
            {**own, **plan.model_dump(exclude_none=True), **mine.model_dump(exclude_none=True)}
        )

    def require_secrets(self) -> None:
        """Say at the start, not with the first request, what a serving process cannot do without.

        Raises:
            ValueError: a secret is not set, or caches may keep what nobody could make them forget; the message names
                the variable and what to do.
        """
        for name, made_by in (
            ("delivery_secrets", "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"),
            ("vendor_webhook_secrets", "the moderation vendor, as whsec_… (Standard Webhooks)"),
        ):
            if name == "vendor_webhook_secrets" and self.vendor_name == LOCAL_VENDOR:
                continue  # nobody sends any
            if not getattr(self, name):
                raise ValueError(f"MEDIAGATE_{name.upper()} is not set: set it to a secret made by {made_by}.")
        self._require_purging()
        self.require_classifier()

    def _require_purging(self) -> None:
        if self.delivery_max_age > MOST_MAX_AGE:
            raise ValueError(
                f"MEDIAGATE_DELIVERY_MAX_AGE may be at most {MOST_MAX_AGE}: for that long, a copy that a purge missed"
                " outlives a takedown."
            )
        if self.delivery_max_age and not self.purge_url:
            raise ValueError(
                "MEDIAGATE_DELIVERY_MAX_AGE lets caches keep pictures, so a takedown must reach them: set"
                " MEDIAGATE_PURGE_URL, or leave the age at 0."
            )
        if self.purge_url and not (self.purge_secret and self.purge_secret.get_secret_value()):
            raise ValueError(
                "MEDIAGATE_PURGE_SECRET is not set: set it to the whsec_… secret (Standard Webhooks) that the hook at"
                " MEDIAGATE_PURGE_URL checks."
            )

    def require_classifier(self) -> None:
        """As above, for a local model: all or nothing of it is set, and not nothing if nobody else looks.

        Raises:
            ValueError: what is missing.
        """
        given = {name: getattr(self, name) for name in ("onnx_model", "onnx_sha256", "onnx_labels")}
        absent = next((name for name, value in given.items() if value is None), None)
        if absent and any(given.values()):
            raise ValueError(f"MEDIAGATE_{absent.upper()} is not set: a model, its SHA-256 and its labels go together.")
        if absent and self.vendor_name == LOCAL_VENDOR:
            raise ValueError(
                f"MEDIAGATE_VENDOR_NAME is {LOCAL_VENDOR}, so nobody but a local model looks at pictures:"
                " set MEDIAGATE_ONNX_MODEL, or name a vendor."
            )
