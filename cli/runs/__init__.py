"""`mediagate runs`: the commands, and how runs are found, told and repaired. The service is called by
`workflows.operations`.
"""
