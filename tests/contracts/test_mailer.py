"""What every mailer does, shown on SMTP against a real server in this process and on the twin."""

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Protocol

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from mediagate.errors import InvalidRequest, MailUnavailable
from mediagate.notify.memory import MemoryMailer
from mediagate.notify.message import Mail, Mailer
from mediagate.notify.mime import compose
from mediagate.notify.smtp import SmtpMailer

SENDER = "mediagate@localhost"


class Inbox(Protocol):
    """The receiving side, whichever mailer is on the other."""

    mailer: Mailer

    def received(self) -> list[EmailMessage]: ...
    def go_down(self) -> None: ...
    def refuse(self, address: str) -> None: ...


class MemoryInbox:
    def __init__(self) -> None:
        self._memory = MemoryMailer(sender=SENDER)
        self.mailer: Mailer = self._memory

    def received(self) -> list[EmailMessage]:
        return [compose(mail, sender=SENDER) for mail in self._memory.sent]

    def go_down(self) -> None:
        self._memory.failing = True

    def refuse(self, address: str) -> None:
        self._memory.refused.add(address)


class SmtpInbox:
    """aiosmtpd's protocol on this event loop, with itself as the handler."""

    def __init__(self) -> None:
        self._bodies: list[bytes] = []
        self._refused: dict[str, str] = {}
        self.answer = "250 OK"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SMTP(self, loop=loop, hostname="test"), "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.mailer: Mailer = SmtpMailer("127.0.0.1", port, sender=SENDER, timeout=5)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address not in self._refused:
            envelope.rcpt_tos.append(address)
        return self._refused.get(address, "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self._bodies.append(envelope.content)
        return self.answer

    def received(self) -> list[EmailMessage]:
        return [message_from_bytes(body, policy=default) for body in self._bodies]

    def go_down(self) -> None:
        self._server.close()

    def refuse(self, address: str, answer: str = "550 no such user") -> None:
        self._refused[address] = answer


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpInbox]:
    inbox = SmtpInbox()
    await inbox.start()
    yield inbox
    inbox.go_down()


@pytest.fixture(params=["smtp", "memory"])
def inbox(request: pytest.FixtureRequest) -> Inbox:
    if request.param == "memory":
        return MemoryInbox()
    server: SmtpInbox = request.getfixturevalue("smtp")
    return server


def mail(**changes: object) -> Mail:
    plain = Mail(
        to=("admin@example.org",),
        subject="Upload failed: Grüße.jpg",
        text="A file could not be taken in.\n\nFile: Grüße.jpg\n",
        message_id="<upload-failed-1@mediagate>",
        headers={"X-Mediagate-Tracking-Id": "tr-1"},
    )
    return plain.model_copy(update=changes)


class TestSend:
    async def test_arrives_as_it_was_written(self, inbox: Inbox) -> None:
        await inbox.mailer.send(mail())
        (message,) = inbox.received()
        assert message["To"] == "admin@example.org"
        assert message["From"] == SENDER
        assert message["Subject"] == "Upload failed: Grüße.jpg"
        assert message["Message-ID"] == "<upload-failed-1@mediagate>"
        assert message["X-Mediagate-Tracking-Id"] == "tr-1"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message.get_content().replace("\r\n", "\n") == mail().text

    async def test_a_repeat_has_the_same_message_id(self, inbox: Inbox) -> None:
        await inbox.mailer.send(mail())
        await inbox.mailer.send(mail())
        assert [message["Message-ID"] for message in inbox.received()] == ["<upload-failed-1@mediagate>"] * 2


class TestRefusal:
    @pytest.mark.parametrize(
        "change",
        [
            {"subject": "x\r\nBcc: victim@example.org"},
            {"subject": "x\nBcc: victim@example.org"},
            {"headers": {"X-A": "b\r\nBcc: victim@example.org"}},
            {"headers": {"X-A: b\r\nBcc": "victim@example.org"}},
            {"headers": {"Bcc": "victim@example.org"}},
            {"to": ("a@example.org, victim@example.org",)},
            {"to": ("a@example.org\r\nBcc: victim@example.org",)},
            {"to": ("nobody",)},
            {"to": ("",)},
            {"to": ("a@example.org", "")},
            {"text": "lone \ud800 surrogate"},
        ],
    )
    async def test_nothing_can_be_injected(self, inbox: Inbox, change: dict[str, object]) -> None:
        with pytest.raises(InvalidRequest):
            await inbox.mailer.send(mail(**change))
        assert inbox.received() == []

    async def test_an_unknown_recipient_is_for_good(self, inbox: Inbox) -> None:
        inbox.refuse("admin@example.org")
        with pytest.raises(InvalidRequest, match="550"):
            await inbox.mailer.send(mail())

    async def test_one_unknown_recipient_does_not_keep_it_from_the_others(self, inbox: Inbox) -> None:
        inbox.refuse("gone@example.org")
        refused = await inbox.mailer.send(mail(to=("gone@example.org", "admin@example.org")))
        assert refused == ("gone@example.org",)
        assert [message["To"] for message in inbox.received()] == ["gone@example.org, admin@example.org"]

    async def test_a_server_that_is_down_is_for_now(self, inbox: Inbox) -> None:
        inbox.go_down()
        with pytest.raises(MailUnavailable):
            await inbox.mailer.send(mail())

    def test_a_message_id_is_one_word(self) -> None:
        with pytest.raises(ValueError, match="message_id"):
            Mail(to=("a@example.org",), subject="", text="", message_id="<a@b>\r\nBcc: x")


class TestSmtp:
    async def test_a_full_mailbox_is_for_now(self, smtp: SmtpInbox) -> None:
        smtp.refuse("admin@example.org", "452 mailbox full")
        with pytest.raises(MailUnavailable, match="452"):
            await smtp.mailer.send(mail())

    async def test_one_full_mailbox_among_unknown_ones_is_for_now(self, smtp: SmtpInbox) -> None:
        smtp.refuse("gone@example.org")
        smtp.refuse("admin@example.org", "452 mailbox full")
        with pytest.raises(MailUnavailable, match="452"):
            await smtp.mailer.send(mail(to=("gone@example.org", "admin@example.org")))

    @pytest.mark.parametrize(
        ("answer", "error"), [("554 no spam please", InvalidRequest), ("451 try later", MailUnavailable)]
    )
    async def test_the_answer_to_the_text(self, smtp: SmtpInbox, answer: str, error: type[Exception]) -> None:
        smtp.answer = answer
        with pytest.raises(error, match=answer[:3]):
            await smtp.mailer.send(mail())

    async def test_a_demanded_starttls_that_is_not_offered_is_trouble(self, smtp: SmtpInbox) -> None:
        port = smtp._server.sockets[0].getsockname()[1]
        secured = SmtpMailer("127.0.0.1", port, sender=SENDER, start_tls=True, timeout=5)
        with pytest.raises(MailUnavailable, match="STARTTLS"):
            await secured.send(mail())
        assert smtp.received() == []
