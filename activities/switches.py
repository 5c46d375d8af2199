"""Steps that an item goes without because an operator switched them off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from db.session import Transaction
    from db.tables import Library, Media
    from mediagate.flagging import Flags
    from mediagate.flags import Switch


class Steps:
    """Which steps one item gets. Asked where the work is done, so that a switch acts on what is under way too."""

    def __init__(self, flags: Flags, media: Media, library: Library) -> None:
        self._flags = flags
        self._media, self._library = media, library.slug
        self._left_out: dict[Switch, None] = {}

    def may(self, switch: Switch) -> bool:
        """True if the step may be done; otherwise `note` tells that it was not."""
        on = self._flags.on(switch, str(self._media.id), library=self._library)
        if not on:
            self._left_out[switch] = None
        return on

    async def note(self, tx: Transaction) -> None:
        """Put what was left out on the item's timeline, each once."""
        for switch in self._left_out:
            await tx.media.record(self._media.id, f"skipped:{switch}", "skipped", {"step": switch.value})
