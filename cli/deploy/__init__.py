"""`mediagate deploy`: bring a release out by a plan.

What belongs here: reading plans (`plan.py`), carrying them out and undoing them (`rollout.py`), the command. What a
step does is in the plan, so nothing here knows containers or clusters.
"""
