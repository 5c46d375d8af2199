"""What activities work with; made once per worker, by `worker.py` or a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # heavy, and workflow files import this module
    from activities.sources import SourceCache
    from db.session import Database
    from mediagate.access.delivery import DeliverySigner
    from mediagate.flagging import Flags
    from mediagate.imaging.pool import PicturePool
    from mediagate.malware.scanner import Scanner
    from mediagate.notify.message import Mailer
    from mediagate.notify.purging import Purger
    from mediagate.settings import Settings
    from mediagate.storage.store import ObjectStore
    from mediagate.vault import Vault
    from mediagate.vendors.interface import ModerationVendor
    from workflows.client import Flows


def _nothing_switched_off() -> Flags:
    from mediagate.flagging import Flags

    return Flags()


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
    stores: Mapping[str, ObjectStore] = field(default_factory=dict)
    """What `store` is made of, by name; only for moves from one to another."""
    import_sources: Mapping[str, ObjectStore] = field(default_factory=dict)
    """Where imports read from, by name."""
    flags: Flags = field(default_factory=_nothing_switched_off)
