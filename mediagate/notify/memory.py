"""The mailer in memory: the shipped twin of `SmtpMailer`."""

from mediagate.errors import InvalidRequest, MailUnavailable
from mediagate.notify.message import Mail
from mediagate.notify.mime import compose


class MemoryMailer:
    """`Mailer` that keeps what it is given in `sent`.

    `failing` makes it a server that is down; addresses in `refused` are unknown for good.
    """

    def __init__(self, *, sender: str = "mediagate@localhost") -> None:
        self.sent: list[Mail] = []
        self.failing = False
        self.refused: set[str] = set()
        self._sender = sender

    async def send(self, mail: Mail) -> tuple[str, ...]:
        compose(mail, sender=self._sender)
        if self.failing:
            raise MailUnavailable
        refused = tuple(address for address in mail.to if address in self.refused)
        if refused == mail.to:
            raise InvalidRequest(f"The mail server refused the mail: 550 {refused[0]} is unknown")
        self.sent.append(mail)
        return refused
