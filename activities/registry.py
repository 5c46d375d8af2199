"""All activities, by the role of the worker that offers them."""

from collections.abc import Callable, Mapping
from typing import Any

from activities.deps import Deps
from activities.digesting import Digesting
from activities.evidence import Evidence
from activities.filing import Filing
from activities.importing import Importing
from activities.moderation import Moderation
from activities.notifying import Notifying
from activities.policy_runs import PolicyRuns
from activities.projecting import Projecting
from activities.purging import Purging
from activities.reconsidering import Reconsidering
from activities.rendering import Rendering
from activities.renditions import Renditions
from activities.retaining import Retaining
from activities.scrub_repair import ScrubRepair
from activities.scrubbing import Scrubbing
from activities.store_moving import StoreMoving
from activities.sweeping import Sweeping
from activities.vendor_checks import VendorChecks
from activities.verifying import Verifying
from workflows.names import Role


def build_activities(deps: Deps) -> Mapping[Role, list[Callable[..., Any]]]:
    """The activities over one outside world; those of `flow` run as local activities."""
    rendering, moderation = Rendering(deps, Verifying(deps)), Moderation(deps)
    notifying, projecting = Notifying(deps), Projecting(deps)
    filing = Filing(deps, notifying)
    sweeping, renditions, purging = Sweeping(deps, notifying), Renditions(deps), Purging(deps)
    reconsidering, policy_runs = Reconsidering(deps), PolicyRuns(deps)
    stores = StoreMoving(deps)
    importing = Importing(deps, notifying)
    retaining, scrubbing = Retaining(deps), Scrubbing(deps)
    return {
        Role.FLOW: [
            projecting.record_decision,
            projecting.record_failure,
            policy_runs.record_policy_run,
            importing.record_import,
        ],
        Role.IO: [
            filing.file_media,
            notifying.notify_admins,
            purging.purge_caches,
            Evidence(deps).seal_evidence,
            sweeping.sweep,
            renditions.find_stale,
            reconsidering.reconsider_decision,
            policy_runs.preview_policy,
            policy_runs.take_run_items,
            importing.list_import,
            importing.advance_import,
            importing.end_import,
            retaining.apply_retention,
            retaining.note_purged,
            scrubbing.begin_scrub,
            scrubbing.scrub_rows,
            scrubbing.scrub_objects,
            scrubbing.end_scrub,
            stores.begin_store_move,
            stores.call_off_store_move,
            stores.place_library,
            stores.mirror_page,
            stores.clear_page,
            Digesting(deps).write_digest,
        ],
        Role.CPU: [rendering.verify_and_render, renditions.build_renditions, ScrubRepair(deps).rebuild_pictures],
        Role.VENDOR: [
            moderation.submit_for_moderation,
            moderation.poll_vendor,
            VendorChecks(deps).check_vendors,
        ],
    }
