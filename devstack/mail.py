"""The mail sink: takes any message over SMTP on loopback, keeps it as an `.eml` file and shows it over HTTP."""

import argparse
import asyncio
import email
import email.policy
import html
import os
import re
import secrets
import time
from email.message import EmailMessage
from pathlib import Path

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from devstack.ports import LOOPBACK

LARGEST_MESSAGE = 32 * 1024 * 1024
NAME = re.compile(r"[0-9]{20}-[0-9a-f]{8}")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem;color-scheme:light dark}}
td,th{{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}}pre{{white-space:pre-wrap}}</style>
<h1>{title}</h1>{body}</html>"""
CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


class Mailbox:
    """A folder of messages. Ids sort by arrival."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def store(self, sender: str, recipients: list[str], content: bytes) -> str:
        """Keep a message; it is on disk when this returns. The envelope is written into headers in front of it."""
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        envelope = f"X-Envelope-From: {_one_line(sender)}\r\nX-Envelope-To: {_one_line(', '.join(recipients))}\r\n"
        unfinished = self._folder / f".{name}"
        with unfinished.open("wb") as file:
            file.write(envelope.encode() + content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self._folder / f"{name}.eml")
        return name

    def ids(self) -> list[str]:
        """The newest first."""
        return sorted((path.stem for path in self._folder.glob("*.eml")), reverse=True)

    def raw(self, name: str) -> bytes | None:
        """The stored bytes; None if there is no such message."""
        path = self._folder / f"{name}.eml"
        return path.read_bytes() if NAME.fullmatch(name) and path.is_file() else None

    def summary(self, name: str) -> dict[str, str]:
        """Id, sender, recipients, subject and date."""
        message = _parse(self.raw(name) or b"")
        fields = {"from": "X-Envelope-From", "to": "X-Envelope-To", "subject": "Subject", "date": "Date"}
        return {"id": name} | {key: str(message.get(header, "")) for key, header in fields.items()}

    def message(self, name: str) -> dict[str, object] | None:
        """The summary with all headers, the text and the HTML part, and names of attachments."""
        raw = self.raw(name)
        if raw is None:
            return None
        message = _parse(raw)
        return {
            **self.summary(name),
            "headers": [[key, str(value)] for key, value in message.items()],
            "text": _part(message, "plain"),
            "html": _part(message, "html"),
            "attachments": [part.get_filename() or "" for part in message.iter_attachments()],
        }

    def clear(self) -> None:
        """Remove every message."""
        for name in self.ids():
            (self._folder / f"{name}.eml").unlink(missing_ok=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _parse(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)


def _part(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except (LookupError, ValueError):
        return bytes(part.get_payload(decode=True) or b"").decode(errors="replace")


class Intake:
    """What `aiosmtpd` calls for each message."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Answer 250 only when the message is on disk."""
        del server, session
        content = envelope.original_content or b""
        await asyncio.to_thread(self._mailbox.store, envelope.mail_from or "", list(envelope.rcpt_tos), content)
        return "250 OK"


def build_app(mailbox: Mailbox) -> FastAPI:
    """`/` and `/view/{id}` for people, `/messages` for programs."""
    app = FastAPI(title="Mail sink", openapi_url=None)
    # A page on the web cannot read the mail by pointing a name of its own at this address.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost"])

    _serve_programs(app, mailbox)
    _serve_people(app, mailbox)
    return app


def _serve_programs(app: FastAPI, mailbox: Mailbox) -> None:
    @app.get("/messages")
    def list_messages() -> list[dict[str, str]]:
        return [mailbox.summary(name) for name in mailbox.ids()]

    @app.delete("/messages", status_code=204)
    def clear_messages() -> None:
        mailbox.clear()

    @app.get("/messages/{name}")
    def read_message(name: str) -> dict[str, object]:
        message = mailbox.message(name)
        if message is None:
            raise HTTPException(404, "There is no such message.")
        return message

    @app.get("/messages/{name}/raw")
    def read_raw(name: str) -> Response:
        raw = mailbox.raw(name)
        if raw is None:
            raise HTTPException(404, "There is no such message.")
        # As plain text, so that a browser shows it and runs nothing of it.
        headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": CONTENT_POLICY}
        return Response(raw, media_type="text/plain", headers=headers)


def _serve_people(app: FastAPI, mailbox: Mailbox) -> None:
    def page(title: str, body: str) -> HTMLResponse:
        content = PAGE.format(title=html.escape(title), body=body)
        return HTMLResponse(content, headers={"Content-Security-Policy": CONTENT_POLICY})

    @app.get("/")
    def show_list() -> HTMLResponse:
        rows = "".join(_row(mailbox.summary(name)) for name in mailbox.ids()[:200])
        table = f"<table><tr><th>Date<th>To<th>Subject</tr>{rows}</table>" if rows else "<p>No mail yet.</p>"
        return page("Mail", table)

    @app.get("/view/{name}")
    def show_message(name: str) -> HTMLResponse:
        message = mailbox.message(name)
        if message is None:
            raise HTTPException(404, "There is no such message.")
        fields = "".join(f"<tr><th>{key}<td>{html.escape(str(message[key]))}</tr>" for key in ("from", "to", "date"))
        text = html.escape(str(message["text"] or message["html"]))
        links = f'<p><a href="/">All mail</a> · <a href="/messages/{name}/raw">Source</a></p>'
        return page(str(message["subject"]) or "(no subject)", f"<table>{fields}</table><pre>{text}</pre>{links}")


def _row(summary: dict[str, str]) -> str:
    date, to, subject = (html.escape(summary[key]) for key in ("date", "to", "subject"))
    return f'<tr><td>{date}<td>{to}<td><a href="/view/{summary["id"]}">{subject or "(no subject)"}</a></tr>'


async def serve(folder: Path, smtp_port: int, http_port: int) -> None:
    """Run both servers until a signal ends them."""
    mailbox = Mailbox(folder)
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(
        lambda: SMTP(Intake(mailbox), data_size_limit=LARGEST_MESSAGE, enable_SMTPUTF8=True, loop=loop),
        LOOPBACK,
        smtp_port,
    )
    config = uvicorn.Config(build_app(mailbox), host=LOOPBACK, port=http_port, log_level="warning")
    async with smtp:
        await uvicorn.Server(config).serve()


def main() -> None:
    """`python -m devstack.mail --dir DIR --smtp-port PORT --http-port PORT`."""
    parser = argparse.ArgumentParser(prog="python -m devstack.mail", description="Takes mail and shows it.")
    parser.add_argument("--dir", type=Path, required=True, help="where messages are kept")
    parser.add_argument("--smtp-port", type=int, default=1025)
    parser.add_argument("--http-port", type=int, default=8025)
    arguments = parser.parse_args()
    arguments.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(serve(arguments.dir, arguments.smtp_port, arguments.http_port))


if __name__ == "__main__":
    main()
