"""Backups of a whole deployment, database and objects, and coming back from one.

What a backup is and why it is made in this order: `docs/decisions/0028-backups.md`. Plain functions for the command
line; nothing here is an activity of a run. Evidence is not in it: its bucket is locked, and rows name its versions.
"""
