"""Who may do what: API keys and their scopes, upload tokens, signed delivery URLs.

Knows secrets, digests and signatures, and takes the time as an argument. What is stored about keys belongs to `db`,
which header carries them to `api`.
"""
