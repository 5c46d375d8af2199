"""HTTP in and out: routes, callers, problem documents. `python -m api` serves it.

Nothing is decided here: a request is checked, a row is committed, a workflow is started or messaged, an answer is
given.
"""
