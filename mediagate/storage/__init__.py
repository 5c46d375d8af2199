"""Where bytes stand: the spelling of object keys, the object store interface, the S3 store and its in-memory twin.

`keys` is pure. Which object belongs to which status and when it moves is decided by the caller (activities); what the
bytes show is known to `mediagate.imaging`. Imports nothing here, so that `keys` stays light.
"""
