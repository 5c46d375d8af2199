"""What is done only once a transaction is committed, such as counting what it did."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncSession

_ACTIONS = "once_committed"


def once_committed(session: AsyncSession, action: Callable[[], None]) -> None:
    """Do that after the commit, and not at all if there is none. The action must not raise."""
    session.info.setdefault(_ACTIONS, []).append(action)


def run_actions(session: AsyncSession) -> None:
    """After the commit: what was asked for, in its order. For `db.session.Database`."""
    for action in session.info.pop(_ACTIONS, ()):
        action()
