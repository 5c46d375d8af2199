"""`mediagate …`: one module per command, thin over the packages that do the work.

Belongs here: reading options, asking before something is destroyed, and printing. Does not: rules, queries or workflow
code. Heavy imports stand inside the commands, so that `--help` answers at once.
"""
