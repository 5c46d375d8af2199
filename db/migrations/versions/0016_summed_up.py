"""notifications that are not mailed each

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

OWED = "mailed_at IS NULL AND mail_error = ''"


def upgrade() -> None:
    op.add_column("notification", sa.Column("by_mail", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    _index_of_owed(f"{OWED} AND by_mail")


def downgrade() -> None:
    # What owes none would owe one to code that does not know the column.
    op.execute("UPDATE notification SET mail_error = 'told with its import' WHERE NOT by_mail")
    _index_of_owed(OWED)
    op.drop_column("notification", "by_mail")


def _index_of_owed(which: str) -> None:
    op.drop_index("ix_notification_unmailed", "notification")
    op.create_index("ix_notification_unmailed", "notification", ["created_at"], postgresql_where=sa.text(which))
