"""logs in the database

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "log_line",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("tracking_id", sa.String(), nullable=False),
        sa.Column("media_id", sa.String(), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_log_line_at", "log_line", ["at"])
    op.create_index("ix_log_line_trouble", "log_line", [sa.text("id DESC")], postgresql_where=sa.text("level >= 30"))
    for name, column in (("tracking", "tracking_id"), ("media", "media_id")):
        op.create_index(
            f"ix_log_line_{name}",
            "log_line",
            [column, sa.text("id DESC")],
            postgresql_where=sa.text(f"{column} <> ''"),
        )


def downgrade() -> None:
    op.drop_table("log_line")
