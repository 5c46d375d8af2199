"""What happens next: one workflow class per file, with the names, messages and policies that they share.

Workflow files import the standard library, `temporalio`, messages, policies, names and pure values only; side effects
are activities. Starting or messaging a workflow from outside goes through `workflows.client`.
"""
