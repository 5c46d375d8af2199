"""A mail as a value, and what a mailer is."""

from typing import Protocol

from pydantic import Field

from mediagate.media.values import Value

MESSAGE_ID = r"^<[A-Za-z0-9._+=-]{1,150}@[A-Za-z0-9.-]{1,80}>$"
HEADER_NAME = r"^X-[A-Za-z0-9-]{1,60}$"


class Mail(Value):
    """One mail to one or more people, who see each other's addresses.

    Line breaks cannot reach a header: a mailer refuses such a mail (`InvalidRequest`).
    """

    to: tuple[str, ...] = Field(min_length=1, description="addresses without display names")
    subject: str
    text: str
    message_id: str = Field(
        pattern=MESSAGE_ID,
        description="<local@domain>; the same for every try, so that receivers can drop repeats",
    )
    headers: dict[str, str] = Field(default_factory=dict, description="extra headers; names begin with X-")


class Mailer(Protocol):
    """Hands mails to somebody who delivers them."""

    async def send(self, mail: Mail) -> tuple[str, ...]:
        """Return once the mail was taken over, with the addresses that the server would not take it for.

        Sending again may deliver twice, under the same Message-ID.

        Raises:
            InvalidRequest: it will never be taken: bad address, bad header, every recipient refused for good.
            MailUnavailable: the server does not answer, refuses us or says "later", and nobody gets it.
        """
