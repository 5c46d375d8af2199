"""Names that cross process borders: task queues, workflow ids, search attributes.

A deployment has one task queue per resource, all with one prefix (`media`). A workflow finds the queues of its
activities by its own queue's prefix, so tests and several deployments in one namespace do not meet.
"""

from enum import StrEnum

from temporalio.common import SearchAttributeKey

DEFAULT_PREFIX = "media"


class Role(StrEnum):
    """What a worker offers; `all` stands for every role in one process."""

    FLOW = "flow"
    IO = "io"
    CPU = "cpu"
    VENDOR = "vendor"


def task_queue(prefix: str, role: Role) -> str:
    """`media-cpu`."""
    return f"{prefix}-{role.value}"


def vendor_queue(prefix: str, vendor: str) -> str:
    """`media-vendor-hive`: the task queue of a vendor with a rate limit of its own."""
    return f"{task_queue(prefix, Role.VENDOR)}-{vendor}"


def prefix_of(task_queue_name: str) -> str:
    """The prefix of a task queue name made by `task_queue`."""
    return task_queue_name.rpartition("-")[0]


def workflow_id(media_id: str) -> str:
    """`media-<media_id>`: the identity of an upload's workflow, whatever the prefix of its queues."""
    return f"media-{media_id}"


def renditions_id(media_id: str) -> str:
    """`renditions-<media_id>`: one run at a time makes further pictures of an item."""
    return f"renditions-{media_id}"


def rebuild_id(library: str) -> str:
    """`rebuild-<library>`."""
    return f"rebuild-{library}"


def takedown_id(media_id: str) -> str:
    """`takedown-<media_id>`: one run at a time withdraws an item."""
    return f"takedown-{media_id}"


def remoderation_id(media_id: str) -> str:
    """`remoderation-<media_id>`: one run at a time decides an item anew."""
    return f"remoderation-{media_id}"


def import_id(batch_id: str, round_: int = 1) -> str:
    """`import-<batch id>`; when it is begun again, `import-<batch id>-2` and so on."""
    return f"import-{batch_id}" if round_ == 1 else f"import-{batch_id}-{round_}"


def policy_run_id(run_id: str) -> str:
    """`policy-run-<run id>`."""
    return f"policy-run-{run_id}"


def store_move_id(library: str) -> str:
    """`store-move-<library>`: one run at a time copies or moves a library to another store."""
    return f"store-move-{library}"


def trash_id(media_id: str) -> str:
    """`trash-<media_id>`."""
    return f"trash-{media_id}"


def retention_id(prefix: str, library: str | None) -> str:
    """`media-retention-now`, or `…-now-<library>`: one that somebody asked for."""
    return f"{prefix}-retention-now" + (f"-{library}" if library else "")


def scrub_id(prefix: str, library: str | None) -> str:
    """`media-scrub-now`, or `…-now-<library>`: one that somebody asked for."""
    return f"{prefix}-scrub-now" + (f"-{library}" if library else "")


def schedule_id(prefix: str, name: str) -> str:
    """`media-scrub`: of a schedule, and how the ids of its runs begin."""
    return f"{prefix}-{name}"


def sweep_schedule_id(prefix: str) -> str:
    """`media-sweep`."""
    return schedule_id(prefix, "sweep")


MEDIA_STAGE = SearchAttributeKey.for_keyword("MediaStage")
LIBRARY = SearchAttributeKey.for_keyword("Library")
VERDICT = SearchAttributeKey.for_keyword("Verdict")
FAILURE_KIND = SearchAttributeKey.for_keyword("FailureKind")
REVIEW_DUE_AT = SearchAttributeKey.for_datetime("ReviewDueAt")
BATCH_ID = SearchAttributeKey.for_keyword("BatchId")
PLANNED_AT = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
"""The service's own, of runs that a schedule starts."""

SEARCH_ATTRIBUTES = (MEDIA_STAGE, LIBRARY, VERDICT, FAILURE_KIND, REVIEW_DUE_AT, BATCH_ID)
"""Registered by the local stack and by a deploy; a worker refuses nothing if they are missing, the server does."""
