"""What a policy would decide otherwise, as tables and as JSON."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from activities.policy_runs import Looked
from cli.output import print_line, print_table
from mediagate.moderation.policy_runs import Comparison


def print_comparison(comparison: Comparison, title: str) -> None:
    """The tables of a comparison."""
    verdicts = sorted({new for row in comparison.matrix.values() for new in row})
    for name, matrix in (("decided", comparison.matrix), ("by people", comparison.people)):
        if matrix:
            rows = [(old, *(row.get(new, 0) for new in verdicts)) for old, row in sorted(matrix.items())]
            print_table([name, *(f"→ {new}" for new in verdicts)], rows, title=title)
    if comparison.reasons:
        print_table(["changed because of", "items"], Counter(comparison.reasons).most_common())
    people = comparison.agreement_with_people
    print_line(
        f"{comparison.changed} of {comparison.looked_at} items would be decided otherwise; applying it would change"
        f" {comparison.applicable}. Agreement {_share(comparison.agreement)}, with people {_share(people)}."
    )


def changed_rows(changed: Iterable[Looked]) -> list[dict[str, Any]]:
    """Changed items for `--json` and for tables."""
    return [
        {
            "media_id": str(one.media.id),
            "from": one.standing.verdict,
            "decided_by": one.standing.decided_by,
            "to": one.wanted.verdict.value,
            "reason": one.wanted.rule,
            "risk": one.wanted.risk,
            "left": one.left or "",
        }
        for one in changed
    ]


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"
