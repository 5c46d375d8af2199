"""One module for each noun of the public contract; all of them are mounted by `api.app`."""
