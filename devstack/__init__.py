"""The local stack: Postgres, S3, Temporal, mail sink and vendor simulator on loopback, for `dev`, `demo` and the tests.

Belongs here: finding, building, starting, watching and stopping those processes. Does not: anything a production
install needs, and anything that knows tables, routes, workflows or activities (`cli` passes such steps in).
"""
