"""What a media item is: its values and the table of legal status transitions.

Pure: no I/O, no clock, no environment. How pictures are read and written belongs to `mediagate.imaging`, what is said
about their content to `mediagate.moderation`.
"""
