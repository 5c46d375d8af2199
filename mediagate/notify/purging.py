"""Telling a CDN what to forget: the hook's client, and its in-memory twin.

The hook is the operator's: some lines that turn an order into their CDN's own call (docs/runbooks/delivery.md).
"""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, Protocol

import httpx
from pydantic import Field, SecretStr
from standardwebhooks import Webhook

from mediagate.errors import PurgeUnavailable
from mediagate.media.values import Value

MOST_RETRY_AFTER = 1200.0
"""Seconds: a hook that asks for more is tried again after this."""


class PurgeOrder(Value):
    """What the hook gets as its JSON body. Purge by tag where the CDN can; else every URL that begins with a path."""

    type: Literal["purge"] = "purge"
    media_id: str
    library: str
    tags: tuple[str, ...] = Field(description="`Cache-Tag` and `Surrogate-Key` of everything that must go")
    urls: tuple[str, ...] = Field(description="paths of everything that must go, whatever the query behind them")
    reason: str = ""


class Purger(Protocol):
    """Makes caches forget."""

    async def purge(self, order: PurgeOrder, *, order_id: str) -> None:
        """Return once the order was taken over. `order_id`: the same for every try of one order.

        Raises:
            PurgeUnavailable: it was not, for whatever reason: as long as caches may show it, trying goes on; with
                `retry_after` where the hook said when.
        """


class HookPurger:
    """`Purger` that posts to the operator's hook, signed by Standard Webhooks 1.0 (symmetric).

    The client is the caller's: its time-outs, its proxies, its `aclose`. It must not follow redirects.

    Raises:
        ValueError: the secret is not `whsec_` and base64.
    """

    def __init__(
        self,
        *,
        url: str,
        secret: SecretStr,
        client: httpx.AsyncClient,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url = url
        self._client = client
        self._now = now
        self._webhook = Webhook(_key(secret))

    async def purge(self, order: PurgeOrder, *, order_id: str) -> None:
        body, moment = order.model_dump_json(), self._now()
        headers = {
            "Content-Type": "application/json",
            "webhook-id": order_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": self._webhook.sign(order_id, moment, body),
        }
        try:  # streamed: of the answer, only the status is of interest
            async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                if not response.is_success:
                    raise PurgeUnavailable(
                        f"The purge hook answered {response.status_code}.",
                        retry_after=_retry_after(response.headers.get("Retry-After", "")),
                    )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PurgeUnavailable(f"The purge hook does not answer: {type(error).__name__} {error}") from error


class MemoryPurger:
    """`Purger` that keeps its orders by their id. `trouble`, while set, is raised instead."""

    def __init__(self) -> None:
        self.orders: dict[str, PurgeOrder] = {}
        self.trouble: PurgeUnavailable | None = None

    async def purge(self, order: PurgeOrder, *, order_id: str) -> None:
        if self.trouble:
            raise self.trouble
        self.orders[order_id] = order


def _key(secret: SecretStr) -> bytes:
    # The library passes over characters that are no base64, and so over a mistake in the settings.
    encoded = secret.get_secret_value().removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("MEDIAGATE_PURGE_SECRET is not `whsec_` and base64.")
    return key


def _retry_after(value: str) -> float | None:
    """The header's seconds; a date, its other form, is left to the workflow's own rhythm."""
    return min(float(value), MOST_RETRY_AFTER) if value.isascii() and value.isdecimal() else None
