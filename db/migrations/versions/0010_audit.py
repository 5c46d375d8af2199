"""the audit trail

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NO_CHANGES = (
    ("update", "BEFORE UPDATE ON audit FOR EACH ROW"),
    ("delete", "BEFORE DELETE ON audit FOR EACH ROW"),
    ("truncate", "BEFORE TRUNCATE ON audit FOR EACH STATEMENT"),
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("library", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("tracking_id", sa.String(), nullable=False),
        sa.Column("prev_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_audit_seq", "audit", ["seq"], unique=True)
    op.create_index("ix_audit_library", "audit", ["library", sa.text("seq DESC")])
    op.create_index("ix_audit_subject", "audit", ["subject", sa.text("seq DESC")])
    op.create_index("ix_audit_action", "audit", ["action", sa.text("seq DESC")])
    for name, when in NO_CHANGES:
        op.execute(f"CREATE TRIGGER audit_no_{name} {when} EXECUTE FUNCTION refuse_change()")


def downgrade() -> None:
    op.drop_table("audit")
