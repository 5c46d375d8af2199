"""Progress while files are on their way: live on a terminal, plain lines elsewhere."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cli.demo.journey import ENDS, STEPS, WAITING, Journey
from cli.demo.outcome import OUTCOME_STYLES
from mediagate.media.values import Status
from mediagate.notify.render import clean

REVIEW_LINE = "{} is in review: the demo stands in for the reviewer and approves it (POST /api/v1/media/…/decision)."


@contextmanager
def progress(console: Console, journeys: Sequence[Journey]) -> Iterator[None]:
    """Show how journeys get on, for the time of the block."""
    animated = console.is_terminal and not console.is_dumb_terminal
    began = time.monotonic()

    def tell(journey: Journey) -> None:
        if not animated:
            passed, detail = time.monotonic() - began, f": {clean(journey.detail)}" if journey.detail else ""
            line = f"{passed:6.1f} s  {clean(journey.file.label)}  {_words(journey.stage)}{detail}"
            console.print(Text(line), soft_wrap=True)
        _announce_review(console, journey)

    for journey in journeys:
        journey.tell = tell
    with (
        Live(_Screen(console, journeys), console=console, refresh_per_second=8, transient=True)
        if animated
        else nullcontext()
    ):
        yield


def _announce_review(console: Console, journey: Journey) -> None:
    if journey.stage == Status.IN_REVIEW and journey.file.expected.by_person:
        console.print(Text(REVIEW_LINE.format(clean(journey.file.label)), style="cyan"), soft_wrap=True)


class _Screen:
    """Drawn anew for each frame."""

    def __init__(self, console: Console, journeys: Sequence[Journey]) -> None:
        self._console = console
        self._journeys = journeys
        self._began = time.monotonic()
        self._spinner = Spinner("dots")

    def __rich__(self) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=1)
        table.add_column(max_width=32, no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(width=6, justify="right")
        for journey in self._shown():
            sign = Text("·", style="dim") if journey.stage == WAITING or journey.ended else self._spinner
            name = Text(clean(journey.file.label), style="" if not journey.ended else "dim")
            table.add_row(sign, name, trail(journey), Text(f"{journey.seconds:.1f}" if journey.stages else ""))
        return Group(table, Text(summary(self._journeys, time.monotonic() - self._began), style="bold"))

    def _shown(self) -> list[Journey]:
        """All of them if the terminal is high enough; else those on their way, in the order of the files."""
        room = max(4, self._console.height - 3)
        if len(self._journeys) <= room:
            return list(self._journeys)
        moving = [j for j in self._journeys if not j.ended and j.stage != WAITING]
        ended = [j for j in self._journeys if j.ended]
        waiting = [j for j in self._journeys if j.stage == WAITING]
        chosen = set(moving[:room])
        chosen |= set([*ended[len(chosen) - room :], *waiting][: room - len(chosen)])
        return [journey for journey in self._journeys if journey in chosen]


def trail(journey: Journey) -> Text:
    """`sent › accepted › processing`: where a file has been, the present stage set off."""
    text = Text()
    passed = [stage for stage, _ in journey.stages]
    shown = [stage for stage in STEPS if stage in passed and stage != journey.stage]
    for stage in shown:
        text.append(f"{_words(stage)} › ", style="dim")
    if journey.stage != WAITING:
        style = OUTCOME_STYLES.get(journey.stage, "red") if journey.stage in ENDS else "bold"
        text.append(_words(journey.stage), style=style)
    return text


def summary(journeys: Sequence[Journey], seconds: float) -> str:
    """`12 of 28 at their end: 9 approved, 3 rejected · 8.1 s`."""
    ends = Counter(journey.outcome for journey in journeys if journey.ended)
    counts = ", ".join(f"{count} {_words(outcome)}" for outcome, count in sorted(ends.items()))
    return f"{ends.total()} of {len(journeys)} at their end{': ' if counts else ''}{counts} · {seconds:.1f} s"


def _words(stage: str) -> str:
    return stage.replace("_", " ")
