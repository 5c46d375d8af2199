"""The mail sink keeps what it is sent and shows it harmlessly."""

from email.message import EmailMessage
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient

from devstack.mail import Mailbox, build_app


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path)


@pytest.fixture
def client(mailbox: Mailbox) -> AsyncClient:
    return AsyncClient(transport=ASGITransport(build_app(mailbox)), base_url="http://127.0.0.1")


def message(subject: str = "Grüße", text: str = "Hallo", html: str = "") -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.test", "b@example.test", subject
    mail.set_content(text)
    if html:
        mail.add_alternative(html, subtype="html")
    return mail.as_bytes()


class TestMailbox:
    async def test_the_newest_comes_first(self, mailbox: Mailbox, client: AsyncClient) -> None:
        names = [mailbox.store("a@example.test", ["b@example.test"], message(subject)) for subject in ("one", "two")]
        assert [item["id"] for item in (await client.get("/messages")).json()] == names[::-1]

    async def test_envelope_headers_and_parts_are_shown(self, mailbox: Mailbox, client: AsyncClient) -> None:
        name = mailbox.store("a@example.test", ["b@example.test", "hidden@example.test"], message(html="<b>Hallo</b>"))
        shown = (await client.get(f"/messages/{name}")).json()
        assert shown["to"] == "b@example.test, hidden@example.test"
        assert (shown["subject"], shown["text"].strip(), shown["html"].strip()) == ("Grüße", "Hallo", "<b>Hallo</b>")

    async def test_markup_in_a_message_is_shown_and_not_obeyed(self, mailbox: Mailbox, client: AsyncClient) -> None:
        attack = "<script>alert(1)</script>"
        name = mailbox.store("a@example.test", ["b@example.test"], message(attack, attack))
        for path in ("/", f"/view/{name}"):
            page = await client.get(path)
            assert attack not in page.text
            assert "&lt;script&gt;" in page.text
            assert "default-src 'none'" in page.headers["content-security-policy"]
        assert (await client.get(f"/messages/{name}/raw")).headers["content-type"].startswith("text/plain")

    @pytest.mark.parametrize("name", ["nothing", "..%2F..%2Fsecrets", "0" * 20 + "-" + "0" * 8])
    async def test_an_unknown_or_crooked_id_is_not_found(self, client: AsyncClient, name: str) -> None:
        assert (await client.get(f"/messages/{name}")).status_code == 404

    async def test_another_host_name_is_refused(self, client: AsyncClient) -> None:
        assert (await client.get("/messages", headers={"host": "evil.example.test"})).status_code == 400

    async def test_cleared(self, mailbox: Mailbox, client: AsyncClient) -> None:
        mailbox.store("a@example.test", ["b@example.test"], message())
        assert (await client.delete("/messages")).status_code == 204
        assert (await client.get("/messages")).json() == []

    async def test_bytes_that_are_no_proper_mail_are_kept(self, mailbox: Mailbox, client: AsyncClient) -> None:
        name = mailbox.store("", ["b@example.test"], b"Content-Type: text/plain; charset=nope\r\n\r\n\xff\xfe")
        assert (await client.get(f"/messages/{name}")).status_code == 200
        assert (await client.get("/")).status_code == 200
