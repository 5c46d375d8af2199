"""The product library: media, imaging, moderation, storage, vendors, notifications, access.

Knows no HTTP framework, no SQL and no Temporal workflow; the shells around it (`db`, `activities`, `workflows`, `api`)
fetch, store and decide when. Its parts do not know each other, see `docs/architecture.md`.
"""

__version__ = "0.1.0"
