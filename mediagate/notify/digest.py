"""The text of a digest. Pure; what others named is cleaned as in every mail."""

from collections.abc import Iterator

from rich.filesize import decimal

from mediagate.media.reports import Pace, Report, Times
from mediagate.notify.render import Rendered, clean

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def render_digest(report: Report) -> Rendered:
    """Subject and body; what there is nothing to tell of is left out."""
    about = clean(report.library) if report.library else "the whole deployment"
    sections = (
        ("Uploads", _uploads(report)),
        (f"From acceptance (objective: decided in {duration(report.objective)})", _paces(report)),
        ("Now", _standing(report)),
        ("Vendors", _vendors(report)),
        ("Object store", _store(report)),
    )
    lines = [f"What happened in {about}: {report.period} (UTC)."]
    for title, section in sections:
        if found := [*section]:
            lines += ["", title, *(f"  {line}" for line in found)]
    return Rendered(subject=f"Digest of {about}: {report.period}", body="\n".join([*lines, ""]))


def duration(seconds: float | None) -> str:
    """For people: `4.2 s`, `5 min`, `1.5 h`, `3 d`; a dash for None."""
    if seconds is None:
        return "–"
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit * (2 if unit == _DAY else 1):
            return f"{round(seconds / unit, 1):g} {name}"
    return f"{round(seconds, 1):g} s"


def dollars(micros: int) -> str:
    """For people."""
    return f"{micros / 1_000_000:.2f} USD"


def _uploads(report: Report) -> Iterator[str]:
    filed = ", ".join(f"{count} {status.value}" for status, count in report.filed.items() if count)
    counted = (("Accepted", report.accepted), ("Failed", report.failed), ("Expired", report.expired))
    yield from (f"{name}: {count}" for name, count in counted if count)
    if filed:
        yield f"Filed: {filed}"
    if report.restrictions:
        yield f"Withheld for what it is, later rounds included: {report.restrictions}"


def _paces(report: Report) -> Iterator[str]:
    yield from _pace("Decided", report.decision)
    yield from _pace("Filed", report.filing)


def _pace(what: str, pace: Pace) -> Iterator[str]:
    for who, times in (("without a person", pace.alone), ("with a person", pace.person)):
        if times.count:
            yield f"{what} {who}: {times_line(times)}"


def times_line(times: Times) -> str:
    """`120: half in 4 s, 95 % in 20 s, 99.2 % within the objective`."""
    share = f"{100 * (times.share or 0):.1f} % within the objective"
    return f"{times.count}: half in {duration(times.p50)}, 95 % in {duration(times.p95)}, {share}"


def _standing(report: Report) -> Iterator[str]:
    if report.waiting.count and report.waiting.since:
        since = f"{report.waiting.since:%Y-%m-%d %H:%M} UTC"
        yield f"Waiting for a person: {report.waiting.count}, the first since {since}"
    yield from (f"Owed: {count} {clean(what)}" for what, count in report.owed.items() if count)
    if report.bytes:
        yield f"Kept: {decimal(report.bytes)}"


def _vendors(report: Report) -> Iterator[str]:
    for use in report.vendors:
        numbers = f"{use.calls} calls, {use.failures} failed, {use.cached} answered from earlier results"
        yield f"{clean(use.vendor)}: {numbers}, {dollars(use.cost_micros)}"
    yield from (f"{clean(vendor)}: {clean(why)}" for vendor, why in report.vendor_trouble.items())


def _store(report: Report) -> Iterator[str]:
    if scrub := report.scrub:
        numbers = ", ".join(
            f"{getattr(scrub, what)} {what}" for what in ("missing", "altered", "untracked", "repaired")
        )
        yield f"Last scrub, {scrub.ended_at:%Y-%m-%d %H:%M} UTC: {numbers}"
    if found := ", ".join(f"{count} {kind}" for kind, count in report.findings.items() if count):
        yield f"Open findings: {found} (mediagate storage findings)"
