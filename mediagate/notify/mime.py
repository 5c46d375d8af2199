"""A mail as an Internet message (RFC 5322).

Headers are written by the standard library's policy, which folds, encodes and refuses line breaks.
"""

import re
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

from mediagate.errors import InvalidRequest
from mediagate.notify.message import HEADER_NAME, Mail


def compose(mail: Mail, *, sender: str) -> EmailMessage:
    """The message as it goes over the wire.

    Raises:
        InvalidRequest: an address, a header or the text cannot be written in a mail.
    """
    try:
        message = EmailMessage(policy=SMTP)
        message["From"] = Address(addr_spec=sender)
        message["To"] = [Address(addr_spec=address) for address in mail.to]
        message["Subject"] = mail.subject
        message["Date"] = formatdate(usegmt=True)
        message["Message-ID"] = mail.message_id
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
        for name, value in mail.headers.items():
            message[_name(name)] = value
        message.set_content(mail.text)
        message.as_bytes()
    except (ValueError, IndexError, MessageError) as error:  # IndexError: the address parser's answer to ""
        raise InvalidRequest(f"This mail cannot be written: {error}") from error
    return message


def _name(name: str) -> str:
    if not re.fullmatch(HEADER_NAME.strip("^$"), name):
        raise ValueError(f"{name!r} is not an extra header")
    return name
