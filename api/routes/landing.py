"""`/`: where everything is, for somebody who opened the address in a browser."""

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from api.deps import GateDep
from mediagate import __version__

router = APIRouter(include_in_schema=False)


@router.get("/", response_class=HTMLResponse)
async def landing(gate: GateDep) -> HTMLResponse:
    """A page of links; it says nothing that a caller without a key may not know."""
    links = [("/openapi.json", "API description (OpenAPI)"), ("/health/ready", "Health of this deployment")]
    if gate.settings.temporal_ui_url:
        links.append((gate.settings.temporal_ui_url, "Runs in the Temporal Web UI"))
    items = "".join(f'<li><a href="{escape(href)}">{escape(text)}</a></li>' for href, text in links)
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Mediagate</title><h1>Mediagate {escape(__version__)}</h1>"
        f"<p>A durable gate between an upload and the public.</p><ul>{items}</ul></html>"
    )
    return HTMLResponse(page)
