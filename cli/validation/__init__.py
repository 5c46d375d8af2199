"""`mediagate validate`: a walk through a live deployment, as its callers, the public and a forger see it.

Belongs here: checks by HTTP, and with `--inside` those that ask the deployment's own services. Two small pictures of
its own are all that it leaves, withdrawn. Does not: anything that changes what others have.
"""
