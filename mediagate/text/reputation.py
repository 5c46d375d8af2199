"""What others know of addresses: one interface for lists and vendors, and its twin in memory."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import Field

from mediagate.media.values import Value
from mediagate.text.urls import normalised


class UrlOpinion(Value):
    """What somebody says of one address."""

    category: str = Field(description="as in policies: scam, spam, malware, …")
    score: float = Field(ge=0, le=1)
    source: str = Field("", description="who says so")


class UrlReputation(Protocol):
    """Somebody who knows bad addresses."""

    async def opinions(self, urls: Sequence[str]) -> Mapping[str, UrlOpinion]:
        """By URL as it was asked for, normalised; none for what is not known to be bad.

        Raises:
            VendorUnavailable: no usable answer.
        """


class MemoryReputation:
    """The twin: knows what it was told."""

    def __init__(self, known: Mapping[str, UrlOpinion]) -> None:
        self._known = {str(normalised(url)): opinion for url, opinion in known.items()}

    async def opinions(self, urls: Sequence[str]) -> Mapping[str, UrlOpinion]:
        """As it was told, for the very same address."""
        return {url: self._known[url] for url in urls if url in self._known}
