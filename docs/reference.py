"""`python -m docs.reference`: write the reference pages from the code; a test holds the pages against it."""

from pathlib import Path

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from api.app import create_app
from docs import metrics_page
from mediagate.settings import Settings

HERE = Path(__file__).parent


def configuration() -> str:
    """Every setting, its default and meaning."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        if default is PydanticUndefined or field.default_factory:
            shown = "*computed*"
        elif isinstance(default, SecretStr) or default in (None, (), ""):
            shown = ""
        else:
            shown = f"`{default}`"
        rows.append(f"| `MEDIAGATE_{name.upper()}` | {shown} | {field.description or ''} |")
    lines = [
        "# Configuration",
        "",
        "Made by `make docs` from `mediagate/settings.py`. Durations are seconds, sizes bytes, lists comma-separated.",
        "`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*` are read by Temporal's SDK.",
        "If any of `MEDIAGATE_DATABASE_URL`, `MEDIAGATE_S3_*`, `TEMPORAL_ADDRESS` is set, `mediagate dev` and",
        "`demo` use that real service in place of the embedded one.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def routes() -> str:
    """Every route, in the order of the application."""
    paths = create_app(Settings()).openapi()["paths"]
    rows = [
        f"| `{method.upper()} {path}` | {next(iter(call['responses']))} | {call['description'].splitlines()[0]} |"
        for path, calls in paths.items()
        for method, call in calls.items()
    ]
    lines = [
        "# HTTP API",
        "",
        "Made by `make docs` from the routes; the full description with all models is served at `/openapi.json`.",
        "Errors are RFC 9457 problem documents with `type, title, status, detail, code, tracking_id`; every POST that",
        "has an effect takes an `Idempotency-Key`; lists are keyset pages `{items, next_cursor}`; callers send",
        "`Authorization: Bearer <API key>`.",
        "",
        "| call | success | |",
        "|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


PAGES = {"configuration.md": configuration, "api.md": routes, "metrics.md": metrics_page.page}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page())


if __name__ == "__main__":
    main()
