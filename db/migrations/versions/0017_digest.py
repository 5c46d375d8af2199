"""digests, and checks of vendors

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TIMES = ("at", "answered_at", "failing_since", "down_since")


def upgrade() -> None:
    op.create_table(
        "vendor_check",
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=True) for name in TIMES),
        sa.PrimaryKeyConstraint("vendor"),
    )
    op.create_index("ix_media_accepted", "media", ["accepted_at"], postgresql_where=sa.text("accepted_at IS NOT NULL"))
    op.create_index("ix_media_filed", "media", ["filed_at"], postgresql_where=sa.text("filed_at IS NOT NULL"))
    op.create_index(
        "ix_media_lost", "media", ["updated_at"], postgresql_where=sa.text("status IN ('failed', 'expired')")
    )
    op.create_index("ix_decision_taken", "decision", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_decision_taken", "decision")
    for name in ("lost", "filed", "accepted"):
        op.drop_index(f"ix_media_{name}", "media")
    op.drop_table("vendor_check")
