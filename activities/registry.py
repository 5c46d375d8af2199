"""All activities, by the role of the worker that offers them."""

from collections.abc import Callable, Mapping
from typing import Any

from activities.deps import Deps
from activities.evidence import Evidence
from activities.filing import Filing
from activities.moderation import Moderation
from activities.notifying import Notifying
from activities.policy_runs import PolicyRuns
from activities.projecting import Projecting
from activities.purging import Purging
from activities.reconsidering import Reconsidering
from activities.rendering import Rendering
from activities.renditions import Renditions
from activities.sweeping import Sweeping
from activities.verifying import Verifying
from workflows.names import Role


def build_activities(deps: Deps) -> Mapping[Role, list[Callable[..., Any]]]:
    """The activities over one outside world; those of `flow` run as local activities."""
    verifying, rendering, moderation = Verifying(deps), Rendering(deps), Moderation(deps)
    filing, notifying, projecting = Filing(deps), Notifying(deps), Projecting(deps)
    sweeping, renditions, purging = Sweeping(deps, notifying), Renditions(deps), Purging(deps)
    reconsidering, policy_runs = Reconsidering(deps), PolicyRuns(deps)
    return {
        Role.FLOW: [projecting.record_decision, projecting.record_failure, policy_runs.record_policy_run],
        Role.IO: [
            verifying.verify_object,
            filing.file_media,
            notifying.notify_admins,
            purging.purge_caches,
            Evidence(deps).seal_evidence,
            sweeping.sweep,
            renditions.find_stale,
            reconsidering.reconsider_decision,
            policy_runs.preview_policy,
            policy_runs.take_run_items,
        ],
        Role.CPU: [rendering.build_variants, renditions.build_renditions],
        Role.VENDOR: [moderation.submit_for_moderation, moderation.poll_vendor],
    }
