"""What activities work with; made once per worker, by `worker.py` or a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # heavy, and workflow files import this module
    from activities.sources import SourceCache
    from db.session import Database
    from mediagate.access.delivery import DeliverySigner
    from mediagate.imaging.pool import PicturePool
    from mediagate.malware.scanner import Scanner
    from mediagate.notify.message import Mailer
    from mediagate.notify.purging import Purger
    from mediagate.settings import Settings
    from mediagate.storage.store import ObjectStore
    from mediagate.vault import Vault
    from mediagate.vendors.interface import ModerationVendor
    from workflows.client import Flows


@dataclass(frozen=True)
class Deps:
    """The outside world of the activities."""

    settings: Settings
    db: Database
    store: ObjectStore
    sources: SourceCache
    vendors: Mapping[str, ModerationVendor]
    mailer: Mailer
    flows: Flows
    pictures: PicturePool
    signer: DeliverySigner
    purger: Purger | None = None
    """None: there is no CDN to tell."""
    scanner: Scanner | None = None
    """None: nobody looks for malware."""
    vault: Vault | None = None
    """None: no evidence is sealed."""
