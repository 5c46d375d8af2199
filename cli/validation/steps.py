"""Every check, in the order in which they are run, and what to do where one fails."""

from cli.validation import inside, refusals, service, uploads
from cli.validation.walk import Step

_UP = ("parts", "schema")
"""Without these, an answer says nothing of what it is about."""

STEPS = (
    Step(
        "answers", "the API answers", service.answers, "Is the address right? Is the API up? Does the proxy reach it?"
    ),
    Step(
        "parts",
        "Postgres, S3 and Temporal answer the API",
        service.parts,
        "Bring it back, or mend its address and credentials (MEDIAGATE_DATABASE_URL, MEDIAGATE_S3_*, TEMPORAL_*).",
        ("answers",),
    ),
    Step("schema", "the schema is up to date", service.schema, "Run `mediagate db upgrade`.", ("answers",)),
    Step(
        "workers",
        "a worker serves each task queue",
        service.workers,
        "Start the missing ones: `python worker.py --role …`; look at their logs.",
        ("answers",),
    ),
    Step(
        "vendors",
        "moderation vendors and scanner answer",
        service.vendors,
        "Look at the vendor's status and at MEDIAGATE_VENDOR*; `mediagate vendors` shows circuit breakers.",
        ("answers",),
    ),
    Step(
        "transport",
        "the way is encrypted",
        service.transport,
        "Serve it by https with a certificate that is renewed in time.",
        ("answers",),
    ),
    Step(
        "headers",
        "answers carry security headers and the tracking id",
        service.headers,
        "Let the proxy pass on what the API sends, and add Strict-Transport-Security.",
        ("answers",),
    ),
    Step(
        "openapi",
        "the API's description is there",
        service.openapi,
        "Is another release deployed than is meant, or does the proxy cut off paths?",
        ("answers",),
    ),
    Step(
        "clock",
        "the clocks agree",
        service.clock,
        "Synchronise the servers' clocks (NTP), or this machine's.",
        ("answers",),
    ),
    Step(
        "problems",
        "errors are problem documents",
        refusals.problems,
        "Let the proxy pass on the API's own error pages.",
        ("answers",),
    ),
    Step(
        "without-key",
        "nothing opens without a key",
        refusals.without_key,
        "Take the deployment off the net: something before the API answers in its place.",
        _UP,
    ),
    Step("key", "the key is accepted", refusals.key, "Issue a key for the library: `mediagate setup LIBRARY`.", _UP),
    Step(
        "tenants",
        "other tenants' libraries are unknown",
        refusals.tenants,
        "The key sees more than one library: issue one for this library alone.",
        ("key",),
    ),
    Step(
        "operators",
        "operators' calls take an operator's key",
        refusals.operators,
        "Use a library's key for the walk; `mediagate vendors` shows what an open circuit breaker waits for.",
        ("key",),
    ),
    Step(
        "limits",
        "what is too large is refused",
        refusals.limits,
        "Look at MEDIAGATE_MAX_FILE_SIZE and the plan.",
        ("key",),
    ),
    Step(
        "webhooks",
        "forged webhooks are refused",
        refusals.webhooks,
        "Stop the webhook's route at the proxy, then look at MEDIAGATE_VENDOR_WEBHOOK_SECRETS.",
        _UP,
    ),
    Step(
        "presigned",
        "browsers may send to the object store",
        uploads.announced,
        "Run `mediagate setup LIBRARY` with MEDIAGATE_PUBLIC_URL set, which writes the bucket's CORS rules.",
        ("key",),
    ),
    Step(
        "uploads",
        "pictures reach their ends",
        uploads.uploads,
        "`mediagate runs stuck` and `mediagate runs failed` say where they are.",
        ("key", "workers", "vendors"),
    ),
    Step(
        "public",
        "the public reads approved pictures",
        uploads.public,
        "Look at MEDIAGATE_PUBLIC_URL, MEDIAGATE_DELIVERY_URL and what the CDN does with queries and headers.",
        ("uploads",),
    ),
    Step(
        "closed",
        "nothing else opens",
        uploads.closed,
        "Take public access from the bucket, and let no cache ignore queries.",
        ("uploads",),
    ),
    Step(
        "withdrawn",
        "a takedown closes at once",
        uploads.withdrawal,
        "A cache serves what it should ask for: MEDIAGATE_PURGE_URL, MEDIAGATE_DELIVERY_MAX_AGE.",
        ("uploads",),
    ),
    Step(
        "cleanup",
        "what was sent is withdrawn",
        uploads.cleanup,
        "Withdraw them by hand: POST /media/{id}/takedown.",
        ("key",),
    ),
    Step(
        "schedules",
        "schedules are there and run",
        inside.schedules,
        "A worker with role flow makes them when it starts; resume a paused one in the Temporal Web UI.",
    ),
)
