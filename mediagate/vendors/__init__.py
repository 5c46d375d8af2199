"""Moderation vendors behind one interface: submit, poll, and read what they call back; plus the in-memory twin.

Every vendor's answer becomes `VendorEvent`s. What follows from them is decided by `mediagate.moderation`; whether an
event was seen before, came late or belongs to nobody is told by the inbox in `db`.
"""
