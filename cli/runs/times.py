"""Points in time and durations as people write and read them."""

import re
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=366)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


def since(text: str | None, *, now: datetime | None = None) -> datetime | None:
    """`90s`, `30m`, `2h`, `7d`, `1w` back from now, or a date or time in ISO 8601 (UTC unless it names a zone).

    Raises:
        typer.BadParameter: it is neither.
    """
    if text is None:
        return None
    try:
        if length := _length(text):
            return (now or datetime.now(UTC)) - length
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        message = f"{text!r} is no time: write 90s, 30m, 2h, 7d, 1w or 2026-01-31T08:00."
        raise typer.BadParameter(message, param_hint="--since") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def duration(text: str) -> timedelta:
    """`90s`, `30m`, `2h`, `7d`, `1w`; a year at most.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        length = _length(text)
    except OverflowError:
        length = None
    if length is None or not timedelta(0) < length <= LONGEST:
        raise typer.BadParameter(f"{text!r} is no span up to a year: write 90s, 30m, 2h, 7d or 1w.")
    return length


def _length(text: str) -> timedelta | None:
    match = _SPAN.fullmatch(text.strip())
    return timedelta(**{_UNITS[match[2]]: float(match[1])}) if match else None


def ago(moment: datetime, now: datetime) -> str:
    """`5 m ago`, or `in 5 m` for what is to come."""
    seconds = (now - moment).total_seconds()
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"


def span(seconds: float) -> str:
    """`40 ms`, `3.2 s`, `5 m 2 s`, `3 h 4 m`, `2 d 5 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for size, unit, next_size, next_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // next_size
            return f"{whole // size} {unit}" + (f" {rest} {next_unit}" if rest else "")
    return f"{whole} s"
