"""Mail over SMTP, on `aiosmtplib`; one connection per mail."""

import aiosmtplib
from pydantic import SecretStr

from mediagate.errors import InvalidRequest, MailUnavailable
from mediagate.notify.message import Mail
from mediagate.notify.mime import compose


class SmtpMailer:
    """`Mailer` that hands mails to an SMTP server.

    start_tls: STARTTLS is demanded; otherwise the connection stays as it is. timeout: seconds per SMTP command.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        sender: str,
        username: str | None = None,
        password: SecretStr | None = None,
        start_tls: bool = False,
        timeout: float = 10,
    ) -> None:
        self._host = host
        self._port = port
        self._sender = sender
        self._username = username
        self._password = password
        self._start_tls = start_tls
        self._timeout = timeout

    async def send(self, mail: Mail) -> tuple[str, ...]:
        message = compose(mail, sender=self._sender)
        try:
            refused, _ = await aiosmtplib.send(
                message,
                sender=self._sender,
                recipients=list(mail.to),
                hostname=self._host,
                port=self._port,
                username=self._username,
                password=self._password.get_secret_value() if self._password else None,
                start_tls=self._start_tls,
                timeout=self._timeout,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            # One "later" among them makes it worth another try.
            refusal = min(error.recipients, key=lambda recipient: recipient.code)
            raise _refused(refusal.code, refusal.message) from error
        except aiosmtplib.SMTPDataError as error:
            raise _refused(error.code, error.message) from error
        except aiosmtplib.SMTPNotSupported as error:
            raise InvalidRequest(f"The mail server cannot carry this mail: {error}") from error
        # What remains is between us and the server (log-in, our sender address, the line): an operator mends it.
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailUnavailable(f"The mail server does not take the message: {error}") from error
        return tuple(refused)


def _refused(code: int, message: str) -> InvalidRequest | MailUnavailable:
    """5yz is for good, 4yz for now (RFC 5321, 4.2.1)."""
    text = f"The mail server refused the mail: {code} {message}"
    return InvalidRequest(text) if code >= 500 else MailUnavailable(text)
