"""`mediagate demo`: files through the whole system, from an uploader's seat, and a table of what became of them.

Belongs here: choosing files, sending them, watching, checking and showing. Does not: knowledge of tables or activities;
everything is done and seen over HTTP, but for run histories (Temporal) and the mail sink.
"""

from cli.demo.command import demo

__all__ = ["demo"]
