"""Making caches forget what was public."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import activity

from mediagate.access.delivery import media_tag, public_paths
from workflows.messages import PurgeInput, PurgeResult

if TYPE_CHECKING:
    from activities.deps import Deps


class Purging:
    """The way to the CDN."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def purge_caches(self, job: PurgeInput) -> PurgeResult:
        """Tell the hook, if there is one, to purge every public picture of an item. Idempotent.

        Raises:
            PurgeUnavailable: the hook did not take the order.
        """
        from mediagate.notify.purging import PurgeOrder

        if self._deps.purger is None:
            return PurgeResult()
        info = activity.info()
        order = PurgeOrder(
            media_id=job.media_id,
            library=job.library,
            tags=(media_tag(job.media_id),),
            urls=public_paths(job.media_id),
            reason=job.reason,
        )
        await self._deps.purger.purge(order, order_id=f"purge-{info.workflow_run_id}-{info.activity_id}")
        return PurgeResult(purged=True)
