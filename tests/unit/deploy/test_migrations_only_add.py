"""The release before runs on the schema of this one: that is what makes a rollback possible (docs/deploy.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

VERSIONS = Path(__file__).parents[3] / "db" / "migrations" / "versions"
SINCE = "0010"
"""The last revision before deploys could be rolled back."""
TAKES_AWAY = {"drop_table", "drop_column", "drop_constraint", "rename_table"}
LOOSENS = {"nullable", "server_default", "comment", "existing_type", "existing_nullable"}
"""What may change of a column: it may be left empty from now on, or be filled by the server."""
LATER = [path for path in sorted(VERSIONS.glob("[0-9]*.py")) if path.name[:4] > SINCE]


def calls(source: str) -> Iterator[tuple[str, ast.Call]]:
    """Calls of `op.<name>` in `upgrade`."""
    (upgrade,) = (
        node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"
    )
    for node in ast.walk(upgrade):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, node


def objections(source: str) -> list[str]:
    """What the release before could not live with."""
    found = []
    for name, call in calls(source):
        given = {word.arg: word.value for word in call.keywords}
        if name in TAKES_AWAY:
            found.append(f"{name} in line {call.lineno}")
        if name == "alter_column" and (given.keys() - LOOSENS or _is(given.get("nullable"), False)):
            found.append(f"alter_column in line {call.lineno}")
        if name == "add_column":
            columns = [
                {word.arg: word.value for word in one.keywords} for one in call.args if isinstance(one, ast.Call)
            ]
            must = [words for words in columns if _is(words.get("nullable"), False) and "server_default" not in words]
            found += [f"a column that must be filled in line {call.lineno}" for _ in must]
    return found


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", LATER, ids=lambda path: path.stem)
def test_the_release_before_can_live_with_it(path: Path) -> None:
    assert objections(path.read_text()) == [], "take it away a release later (docs/deploy.md, schema)"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("op.drop_column('media', 'caption')", "drop_column in line 2"),
        ("op.alter_column('media', 'bytes', type_=sa.Text())", "alter_column in line 2"),
        ("op.alter_column('media', 'caption', nullable=False)", "alter_column in line 2"),
        ("op.add_column('media', sa.Column('x', sa.Text(), nullable=False))", "a column that must be filled in line 2"),
    ],
    ids=["drop", "type", "tighter", "must"],
)
def test_what_it_could_not_is_found(body: str, said: str) -> None:
    assert objections(f"def upgrade() -> None:\n    {body}\n") == [said]
