"""What operators do with runs: find, inspect, reset. `operator` calls the service, the others are pure.

What the application does with runs is in `workflows.client`; how the results are printed in `cli.runs`.
"""
