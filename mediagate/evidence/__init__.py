"""Evidence: how a restricted item is sealed, under which keys, and how its records are chained.

`sealing` is the format of a sealed object, `keys` the seam to whatever holds the key-encryption keys, `bundle` what is
in one, `chain` the arithmetic of the records. Pure but for randomness: where objects and rows stand is known to others.
"""
