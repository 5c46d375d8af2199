"""What a demo came to: the tables for people, and the same as one JSON document."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.demo.checks.scene import Check
from cli.demo.files import REFUSED
from cli.demo.journey import Journey
from cli.output import COLOURS, Mark, mark
from mediagate.media.values import MIB, Status, VariantName
from mediagate.notify.render import clean

WIDE_ENOUGH = 190
"""Columns from which on links stand in the rows; below, on lines of their own, where they can be clicked and copied."""

COLUMNS = ("", "file", "how", "outcome", "reason", "variants", "s")
LARGEST = (4, 32, 9, 11, 17, 48, 5)
OUTCOME_STYLES = {
    Status.APPROVED.value: "green",
    Status.REJECTED.value: "yellow",
    REFUSED: "yellow",
    Status.QUARANTINED.value: "magenta",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that is told at the end."""

    journeys: Sequence[Journey]
    checks: Sequence[Check]
    seconds: float

    @property
    def mismatches(self) -> list[Journey]:
        """Files that did not reach their expected end."""
        return [journey for journey in self.journeys if journey.mismatch]

    @property
    def ok(self) -> bool:
        """True if every file reached its expected end and no check failed."""
        return not self.mismatches and all(check.result != "fail" for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """`ok`, `seconds`, `files` and `checks`; names and texts as they are, not made harmless for a terminal."""
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 1),
            "files": [_as_json(journey) for journey in self.journeys],
            "checks": [asdict(check) for check in self.checks],
        }

    def print(self, console: Console) -> None:
        """Files, checks, and one line that says whether all was as expected."""
        console.print(files_table(self.journeys, console.width))
        if self.checks:
            console.print(checks_table(self.checks))
        right, all_files = len(self.journeys) - len(self.mismatches), len(self.journeys)
        counts = Counter(check.result for check in self.checks)
        checked = f"{counts['ok']} checks passed, {counts['fail']} failed" if self.checks else "nothing was checked"
        line = f"{right} of {all_files} files reached the expected end; {checked}"
        console.print(Text(f"{line} ({self.seconds:.1f} s).", style="bold green" if self.ok else "bold red"))


def _as_json(journey: Journey) -> dict[str, Any]:
    file, expected = journey.file, journey.file.expected
    first = journey.stages[0][1] if journey.stages else 0.0
    return {
        "file": file.label,
        "filename": file.filename,
        "content_type": file.content_type,
        "bytes": file.size,
        "how": file.route.value,
        "outcome": journey.outcome,
        "reason": journey.reason,
        "detail": journey.explanation,
        "decided_by": journey.decided_by,
        "expected": {
            "outcomes": sorted(expected.outcomes),
            "reason": expected.reason,
            "by_person": expected.by_person,
        },
        "as_expected": not journey.mismatch,
        "mismatch": journey.mismatch,
        "media_id": journey.media_id or None,
        "variants": [{k: v[k] for k in ("name", "format", "width", "height", "bytes")} for v in journey.variants],
        "seconds": round(journey.seconds, 2),
        "stages": [{"stage": stage, "after": round(at - first, 2)} for stage, at in journey.stages],
        "workflow_id": journey.workflow_id or None,
        "workflow_url": journey.workflow_url or None,
    }


def files_table(journeys: Sequence[Journey], width: int) -> RenderableType:
    """One row for each file; what is not as expected stands below its row, and so does the link if there is no room."""
    rows = [_cells(journey) for journey in journeys]
    if width >= WIDE_ENOUGH:
        table = _table(None)
        table.add_column("workflow", no_wrap=True)
        for journey, row in zip(journeys, rows, strict=True):
            what = row[5] if not journey.mismatch else Text("\n").join([*filter(None, [row[5]]), _complaint(journey)])
            table.add_row(*row[:5], what, row[6], Text(journey.workflow_url, style="dim"))
        return table
    widths = _widths(rows, width)
    head = Table.grid(padding=(0, 2, 0, 0))
    for column, size in zip(COLUMNS, widths, strict=True):
        head.add_column(width=size, justify="right" if column == "s" else "left")
    head.add_row(*(Text(column, style="bold") for column in COLUMNS))
    parts: list[RenderableType] = [Text(), head, Text("─" * min(width, sum(widths) + 2 * len(widths)), style="dim")]
    for journey, row in zip(journeys, rows, strict=True):
        parts += _stacked(journey, row, widths)
    return Group(*parts, Text())


def _table(title: str | None) -> Table:
    table = Table(title=title, box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    for column, largest in zip(COLUMNS, LARGEST, strict=True):
        table.add_column(column, max_width=largest, justify="right" if column == "s" else "left", overflow="fold")
    return table


def _stacked(journey: Journey, row: Sequence[Text], widths: Sequence[int]) -> list[RenderableType]:
    line = Table.grid(padding=(0, 2, 0, 0))
    for column, size in zip(COLUMNS, widths, strict=True):
        line.add_column(width=size, overflow="fold", justify="right" if column == "s" else "left")
    line.add_row(*row)
    indent = (0, 0, 0, widths[0] + 2)
    parts: list[RenderableType] = [line]
    if journey.mismatch:
        parts.append(Padding(_complaint(journey), indent))
    if journey.workflow_url:
        parts.append(Padding(Text(journey.workflow_url, style="dim", overflow="fold"), indent))
    return parts


def _widths(rows: Sequence[Sequence[Text]], width: int) -> list[int]:
    """As wide as the content, up to `LARGEST`; where that is too much, the variants give way."""
    widths = [
        min(largest, max([len(head), *(row[i].cell_len for row in rows)]))
        for i, (head, largest) in enumerate(zip(COLUMNS, LARGEST, strict=True))
    ]
    excess = sum(widths) + 2 * len(widths) - width
    widths[5] = max(16, widths[5] - max(0, excess))
    return widths


def _cells(journey: Journey) -> list[Text]:
    result: Mark = "fail" if journey.mismatch else "ok"
    style = COLOURS["fail"] if journey.mismatch else OUTCOME_STYLES.get(journey.outcome, "")
    return [
        mark(result),
        Text(clean(journey.file.label)),
        Text(journey.file.route.value),
        Text(journey.outcome.replace("_", " "), style=style),
        Text(clean(journey.reason)),
        Text(_variants(journey) or clean(journey.explanation)),
        Text(f"{journey.seconds:.1f}"),
    ]


def _complaint(journey: Journey) -> Text:
    return Text(clean(journey.mismatch), style=COLOURS["fail"])


def _variants(journey: Journey) -> str:
    """`original 4000×3000 1.9 MB, medium, thumb`; the moderation copy is nobody's to see."""
    named = {variant["name"]: variant for variant in journey.variants if variant["name"] != VariantName.MODERATION}
    original = named.get(VariantName.ORIGINAL)
    if original:
        size = f"{original['width']}×{original['height']} {_size(original['bytes'])}"
        named[VariantName.ORIGINAL] = {"text": f"original {size}"}
    return ", ".join(named[name].get("text", name.value) for name in VariantName if name in named)


def _size(count: int) -> str:
    return f"{count / MIB:.1f} MB" if count >= MIB else f"{count / 1024:.0f} kB"


def checks_table(checks: Sequence[Check]) -> Table:
    """One line for each check."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "check", "found"):
        table.add_column(column, overflow="fold")
    for check in checks:
        sign = Text("skip", style="dim") if check.result == "skip" else mark(check.result)
        table.add_row(sign, Text(check.name), Text(clean(check.detail), style="" if check.result == "ok" else "dim"))
    return table
