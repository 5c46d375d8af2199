"""Every metric of the gate's own; `docs/metrics.md` is made from this.

Names of users' expectation have no prefix, the others begin with `mediagate_`. Times are seconds. Beside these a worker
serves what Temporal's SDK measures (`temporal_…`), an API what `prometheus_client` knows of its process (`process_…`).
"""

from mediagate.measuring import Counter, Gauge, Histogram, Home, Metric
from mediagate.media.values import Status, Verdict
from mediagate.moderation.banks import EntryKind, Polarity
from mediagate.moderation.categories import Category

FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""For what a caller or a step waits for."""
SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
"""For steps."""
LONG = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
"""For whole uploads, a person's review included."""
OTHER = "other"
"""In place of names that vendors and policies make up: they would be labels without bound."""
DECIDERS = ("policy", "person", "gate", "deadline", OTHER)
"""`decided_by` without the name of the person or run."""

_VERDICTS = tuple(verdict.value for verdict in Verdict)
_FINAL = tuple(verdict.value for verdict in Verdict if verdict is not Verdict.REVIEW)
_ENDS = tuple(s.value for s in (Status.APPROVED, Status.REJECTED, Status.QUARANTINED, Status.FAILED, Status.EXPIRED))
_SEVERE = (*(category.value for category in Category if category.severe), OTHER)

# Uploads

UPLOADS_ACCEPTED = Counter("mediagate_uploads_accepted_total", "Uploads that were accepted", home=Home.BOTH)
UPLOADS = Counter(
    "mediagate_uploads_total", "Uploads that ended, by how; one that is mended after it failed counts again",
    {"outcome": _ENDS},
)  # fmt: skip
UPLOAD_SECONDS = Histogram(
    "mediagate_upload_seconds", "From acceptance until everything is filed", {"outcome": _ENDS[:3]}, buckets=LONG
)
UPLOADS_FAILED = Gauge(
    "mediagate_uploads_failed", "Items that stand as failed: `mediagate runs retry` resumes them", home=Home.API
)

# Steps

STEP_SECONDS = Histogram(
    "mediagate_step_seconds", "Time that one attempt at a step takes",
    {"step": (), "outcome": ("done", "failed", "crashed")}, buckets=SLOW,
)  # fmt: skip
STEP_FAILURES = Counter(
    "mediagate_step_failures_total", "Attempts at a step that failed, by error; `crashed`: nobody foresaw it",
    {"step": (), "error": ()},
)  # fmt: skip
STEP_RETRIES = Counter("mediagate_step_retries_total", "Attempts at a step after its first", {"step": ()})

# Moderation

MODERATION_REQUESTS = Counter(
    "moderation_requests_total", "Submissions to vendors and polls, by what became of them",
    {"vendor": (), "call": ("submit", "poll"), "outcome": ("answered", "failed", "refused", "resting", "cached")},
)  # fmt: skip
MODERATION_SECONDS = Histogram(
    "moderation_request_duration_seconds", "Time that vendors take to answer", {"vendor": ()},
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0),
)  # fmt: skip
MODERATION_CONFIDENCE = Histogram(
    "moderation_confidence_score", "Probabilities that detectors give, as they were weighed in first decisions",
    {"vendor": (), "category": (*(category.value for category in Category), OTHER)},
    buckets=(0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
)  # fmt: skip
QUEUES = ("vendor", "review")
MODERATION_QUEUE = Gauge(
    "moderation_queue_size", "Items that wait for a vendor's word, or for a person", {"queue": QUEUES}, Home.API
)
MODERATION_QUEUE_OLDEST = Gauge(
    "moderation_queue_oldest_seconds", "How long the oldest of these waits", {"queue": QUEUES}, Home.API
)
REVIEW_DEADLINE = Gauge(
    "mediagate_review_deadline_seconds", "How long a person may take before the policy's default holds", {}, Home.API
)
VENDOR_ERRORS = Counter(
    "vendor_api_errors_total", "Calls of vendors without a usable answer",
    {"vendor": (), "kind": ("unavailable", "asked_to_wait", "timeout", "refused")},
)  # fmt: skip
VENDOR_CACHE_HITS = Counter(
    "vendor_cache_hits_total", "Submissions that an earlier answer stood in for", {"vendor": ()}
)
VENDOR_COST = Counter(
    "vendor_cost_micros_total", "What vendors' answers cost, in millionths of a US dollar", {"vendor": ()}
)
VENDOR_BREAKER = Gauge(
    "vendor_breaker_state", "Circuit breaker: 0 closed, 1 half-open, 2 open", {"vendor": ()}, Home.API
)
VENDOR_CHECKS = Gauge(
    "vendor_failed_checks", "Checks in a row in which a vendor did not answer, also while nobody uploads",
    {"vendor": ()}, Home.API,
)  # fmt: skip
DECISIONS = Counter(
    "mediagate_decisions_total", "Decisions, those that open a review too; `policy`: built in, or a library's own",
    {"verdict": _VERDICTS, "decided_by": DECIDERS, "policy": ("built_in", "own"), "round": ("first", "later")},
)  # fmt: skip
HIGH_RISK = Counter(
    "mediagate_high_risk_content_total", "Items that a policy quarantined, by the severe category that weighs most",
    {"category": _SEVERE},
)  # fmt: skip
BANK_HITS = Counter(
    "mediagate_hash_bank_hits_total", "Items that agree with an entry of a hash bank",
    {"kind": tuple(kind.value for kind in EntryKind), "polarity": tuple(polarity.value for polarity in Polarity)},
)  # fmt: skip
HUMAN_DECISIONS = Counter("human_review_decisions_total", "Verdicts that people gave in reviews", {"verdict": _FINAL})
REVIEW_SECONDS = Histogram("mediagate_review_seconds", "From a review's opening to its verdict", buckets=LONG)

# What later issues count; nothing does yet.

APPEALS_SUBMITTED = Counter("appeals_submitted_total", "Appeals against decisions", home=Home.API)
APPEALS_OVERTURNED = Counter("appeals_overturned_total", "Appeals that changed the decision")
REPUTATION_CHANGES = Counter(
    "reputation_changes_total", "Changes of uploaders' standing", {"direction": ("up", "down")}
)
CONTENT_REPORTS = Counter("content_reports_total", "Reports of published items", home=Home.API)

# Evidence and audit

EVIDENCE_SEALED = Counter("mediagate_evidence_sealed_total", "Restrictions whose evidence was sealed")
_CHAINS = {"chain": ("evidence", "evidence-access", "audit")}
CHAIN_RECORDS = Gauge("mediagate_chain_records", "Records of a hash chain", _CHAINS, Home.API)
CHAIN_BREAKS = Gauge(
    "mediagate_chain_breaks", "Records of a hash chain that are not what they were, as the last patrol saw it", _CHAINS,
    Home.API,
)  # fmt: skip
CHAIN_PATROLLED = Gauge(
    "mediagate_chain_patrolled_timestamp_seconds", "When a patrol last came to a chain's end", _CHAINS, Home.API
)

# What is owed, and who pays it

OWED = ("start", "event", "mail")
OWED_SIZE = Gauge(
    "mediagate_owed", "Rows that owe something: an accepted upload its start, an event its delivery, a notification"
    " its mail", {"what": OWED}, Home.API,
)  # fmt: skip
OWED_OLDEST = Gauge("mediagate_owed_oldest_seconds", "How long the oldest of these owes it", {"what": OWED}, Home.API)
DEAD_LETTERS = Gauge("mediagate_dead_letters", "Events of vendors about nothing that is known here", {}, Home.API)
SWEEP_COMPLETED = Gauge("mediagate_sweep_completed_timestamp_seconds", "When this worker last ended a sweep")
SWEPT = Counter(
    "mediagate_swept_total", "What sweeps did", {"what": ("started", "delivered", "expired", "mailed", "cleared")}
)
NOTIFICATIONS = Counter("mediagate_notifications_total", "Notifications that were written", {"kind": ()})
MAILS = Counter(
    "mediagate_mails_total", "Mails to admins; `refused`: the server never takes this one",
    {"outcome": ("sent", "failed", "refused")},
)  # fmt: skip

# Task queues

QUEUE_BACKLOG = Gauge(
    "mediagate_task_queue_backlog", "Roughly how many tasks wait; `queue` as in the name of the task queue",
    {"queue": (), "priority": ()}, Home.API,
)  # fmt: skip
QUEUE_OLDEST = Gauge(
    "mediagate_task_queue_oldest_seconds", "Roughly how long the oldest task waits", {"queue": ()}, Home.API
)
QUEUE_POLLERS = Gauge("mediagate_task_queue_pollers", "Workers that ask for tasks", {"queue": ()}, Home.API)

# Object store

STORE_SECONDS = Histogram(
    "mediagate_store_seconds", "Time that calls of the object store take, retries of the client included",
    {"bucket": (), "operation": ()}, Home.BOTH, buckets=FAST,
)  # fmt: skip
STORE_REQUESTS = Counter(
    "mediagate_store_requests_total", "Calls of the object store; `outcome`: `ok`, or the error",
    {"bucket": (), "operation": (), "outcome": ()}, Home.BOTH,
)  # fmt: skip
STORE_BYTES = Counter("mediagate_store_bytes_total", "Bytes of objects", {"direction": ("read", "written")}, Home.BOTH)
DISK_FREE = Gauge("mediagate_disk_free_bytes", "Free space where this worker keeps downloaded files")
DISK_SIZE = Gauge("mediagate_disk_size_bytes", "Size of that file system")

# Database

DATABASE_SECONDS = Histogram(
    "mediagate_database_transaction_seconds", "Time that a transaction is open", home=Home.BOTH, buckets=FAST
)
DATABASE_FAILURES = Counter(
    "mediagate_database_failures_total", "Transactions for which the database did not answer", home=Home.BOTH
)
DATABASE_OPEN = Gauge(
    "mediagate_database_open_transactions",
    "Transactions that are open, those that wait for a connection included",
    home=Home.BOTH,
)
DATABASE_POOL = Gauge("mediagate_database_pool_size", "Connections that this process may have", home=Home.BOTH)

# HTTP

_ROUTE = {"method": (), "route": ()}
HTTP_REQUESTS = Counter(
    "mediagate_http_requests_total", "Requests by route and class of status", {**_ROUTE, "status": ()}, Home.API
)
HTTP_SECONDS = Histogram("mediagate_http_request_seconds", "Until the answer is sent", _ROUTE, Home.API, buckets=FAST)

# Feature flags

FLAG_EVALUATIONS = Counter(
    "mediagate_flag_evaluations_total", "Answers about feature flags; `variant` is empty for the code's default",
    {"flag": (), "variant": (), "reason": ()}, Home.BOTH,
)  # fmt: skip

# The process

BUILD_INFO = Gauge("mediagate_build_info", "What runs; always 1", {"version": (), "process": ()}, Home.BOTH)
COLLECTED = Gauge(
    "mediagate_collected", "1: the part told how it stands; 0: it did not, and what it tells is left out",
    {"part": ("database", "temporal")}, Home.API,
)  # fmt: skip

CATALOGUE: tuple[Metric, ...] = tuple(value for value in dict(globals()).values() if isinstance(value, Metric))
"""All of them, in the order above."""
