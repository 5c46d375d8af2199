"""Telling people: mails as values, their texts (pure), the SMTP mailer and its in-memory twin.

Who is told about what, and when it is tried again, is decided by workflows and activities; addresses of admins come
from settings. Results that arrive from vendors are not notifications: see `mediagate.vendors`.
"""
