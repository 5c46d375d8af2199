"""What is said about content and what follows from it: findings, policies, decisions.

Pure: functions of values, no I/O, no clock, no environment. How a vendor is spoken to belongs to `mediagate.vendors`,
what a picture is made of to `mediagate.imaging`.
"""
