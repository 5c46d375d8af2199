"""What every process of one stack finds in its environment, and which real services the user put in."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from devstack.ports import LOOPBACK
from devstack.state import Secrets, StateDir
from mediagate.settings import Settings, VendorKind

OURS = ("MEDIAGATE_", "TEMPORAL_")
VENDOR_WAIT = {"simulated": "10", "manual": "60"}
"""Seconds before a vendor is polled: a simulated one answers at once, a person with `curl` does not."""

# Enough to run a program; nothing that a database or Temporal program would take for its own settings.
PLAIN = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Given:
    """What the user set: those services are used as they are and not started here. Empty variables count as unset."""

    variables: Mapping[str, str]

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Given":
        """Take what concerns the stack."""
        return cls({name: value for name, value in environ.items() if name.startswith(OURS) and value})

    def _any(self, *prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in self.variables)

    @property
    def database(self) -> bool:
        """A Postgres for the app."""
        return "MEDIAGATE_DATABASE_URL" in self.variables

    @property
    def object_store(self) -> bool:
        """An S3 store."""
        return self._any("MEDIAGATE_S3_")

    @property
    def temporal(self) -> bool:
        """A Temporal service."""
        return "TEMPORAL_ADDRESS" in self.variables

    @property
    def mail(self) -> bool:
        """A mail server."""
        return self._any("MEDIAGATE_SMTP_HOST", "MEDIAGATE_SMTP_PORT")

    @property
    def vendor(self) -> bool:
        """A moderation vendor."""
        return "MEDIAGATE_VENDOR_URL" in self.variables


DETOURS = "DEVSTACK_DETOURS"
"""JSON object: ports by which the app's processes reach services in place of their own, as `{"s3": 9100}`: those of a
proxy that cuts and slows the way (`tests/chaos/network.py`)."""


def detours() -> dict[str, int]:
    """What `DEVSTACK_DETOURS` says."""
    found: dict[str, int] = json.loads(os.environ.get(DETOURS, "{}"))
    return found


def plain_environment() -> dict[str, str]:
    """For the programs of the infrastructure, which get all they need from us."""
    return {name: os.environ[name] for name in PLAIN if name in os.environ}


def app_environment(
    state: StateDir, secrets: Secrets, ports: Mapping[str, int], given: Given, *, vendor_mode: str
) -> dict[str, str]:
    """`MEDIAGATE_*` and `TEMPORAL_*` for the app's processes; what the user set wins. `ports`: those chosen."""

    def url(name: str) -> str:
        return f"http://{LOOPBACK}:{ports[name]}"

    computed = {
        "MEDIAGATE_STATE_DIR": str(state.path),
        "MEDIAGATE_VENDOR_WEBHOOK_SECRETS": secrets.vendor_webhook_secret,
        "MEDIAGATE_VENDOR_WAIT": VENDOR_WAIT[vendor_mode],
        "MEDIAGATE_DELIVERY_SECRETS": secrets.delivery_secret,
        "MEDIAGATE_ADMIN_MAILS": "admin@example.test",
        "MEDIAGATE_LOG_FORMAT": "json",
        "TEMPORAL_NAMESPACE": "default",
    }
    if "api" in ports:
        computed |= {"MEDIAGATE_API_PORT": str(ports["api"]), "MEDIAGATE_PUBLIC_URL": url("api")}
    if "temporal-ui" in ports:
        computed["MEDIAGATE_TEMPORAL_UI_URL"] = url("temporal-ui")
    if "vendor" in ports:
        computed["MEDIAGATE_VENDOR_URL"] = url("vendor")
        computed["MEDIAGATE_VENDORS"] = _vendors(url("vendor"), secrets)
    if "api-internal" in ports:
        computed["MEDIAGATE_INTERNAL_ADDRESS"] = f"{LOOPBACK}:{ports['api-internal']}"
        computed["MEDIAGATE_METRICS_PUBLIC"] = "true"  # nobody but this machine reaches it
    if "worker-metrics" in ports:
        computed["MEDIAGATE_METRICS_ADDRESS"] = f"{LOOPBACK}:{ports['worker-metrics']}"
    if not given.mail:
        computed |= {"MEDIAGATE_SMTP_HOST": LOOPBACK, "MEDIAGATE_SMTP_PORT": str(ports["smtp"])}
    if not given.database:
        address = f"postgres:{secrets.postgres_password}@{LOOPBACK}:{ports['postgres']}"
        computed["MEDIAGATE_DATABASE_URL"] = f"postgresql://{address}/mediagate"
    if not given.object_store:
        computed |= {
            "MEDIAGATE_S3_URL": url("s3"),
            "MEDIAGATE_S3_ACCESS_KEY": secrets.s3_access_key,
            "MEDIAGATE_S3_SECRET_KEY": secrets.s3_secret_key,
            # With the stack's own store only: no bucket with a lock of a year is made in somebody else's.
            "MEDIAGATE_EVIDENCE_KEYS": secrets.evidence_key,
        }
    return computed | dict(given.variables) | _temporal(state, ports, given)


def _vendors(simulator: str, secrets: Secrets) -> str:
    """Every wire format that the simulator speaks, under its own name, for policies that ask them."""
    credentials = {
        "api_key": "local",
        "api_secret": secrets.s3_secret_key,
        "webhook_secrets": [secrets.vendor_webhook_secret],
    }
    kinds = [kind for kind in VendorKind if kind is not VendorKind.GENERIC]
    named = {kind.value: {"kind": kind.value, "url": f"{simulator}/{kind.value}", **credentials} for kind in kinds}
    return json.dumps(named)


def _temporal(state: StateDir, ports: Mapping[str, int], given: Given) -> dict[str, str]:
    if given.temporal:
        return {}
    # A profile or a key meant for another service must not be sent to ours, which speaks plain gRPC.
    empty = state.path / "temporal.toml"
    empty.touch(mode=0o600)
    others = {name: "" for name in given.variables if name.startswith("TEMPORAL_") and name != "TEMPORAL_NAMESPACE"}
    return others | {
        "TEMPORAL_ADDRESS": f"{LOOPBACK}:{ports['temporal']}",
        "TEMPORAL_CONFIG_FILE": str(empty),
    }


def whole_environment(app: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with the stack's variables in place of its own."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return rest | {name: value for name, value in app.items() if value}


def settings_from(app: Mapping[str, str]) -> Settings:
    """Settings as a process with this environment would read them."""
    prefix = "MEDIAGATE_"
    values: dict[str, Any] = {
        name.removeprefix(prefix).lower(): value for name, value in app.items() if name.startswith(prefix)
    }
    return Settings(**values)


@contextmanager
def applied(app: Mapping[str, str]) -> Iterator[None]:
    """Have these variables in `os.environ` for a while, where the Temporal SDK reads its own."""
    before = {name: value for name, value in os.environ.items() if name.startswith(OURS)}
    wanted = {name: value for name, value in app.items() if value}
    try:
        _replace(wanted)
        yield
    finally:
        _replace(before)


def _replace(wanted: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]
    os.environ.update(wanted)
