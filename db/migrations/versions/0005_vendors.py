"""vendor submissions, health, cached results, usage, dead letters by page

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vendor_submission",
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("model_version", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cached_from", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"]),
        sa.PrimaryKeyConstraint("media_id", "vendor"),
    )
    op.create_index(
        "uq_vendor_submission_reference",
        "vendor_submission",
        ["vendor", "reference"],
        unique=True,
        postgresql_where=sa.text("reference <> ''"),
    )
    op.create_table(
        "vendor_health",
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("closed", "open", "half_open", name="breakerstate", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_by", sa.String(), nullable=False),
        sa.Column("model_version", sa.String(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("last_error_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("vendor"),
    )
    op.create_table(
        "vendor_result",
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("model_version", sa.String(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("event", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.PrimaryKeyConstraint("vendor", "model_version", "library_id", "content"),
    )
    op.create_index("ix_vendor_result_age", "vendor_result", ["stored_at"])
    op.create_table(
        "vendor_usage",
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("cached", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.PrimaryKeyConstraint("vendor", "day", "library_id"),
    )
    newest_first = ["state", sa.text("received_at DESC"), sa.text("id DESC")]
    undelivered = sa.text("state <> 'delivered'")
    op.create_index("ix_inbox_page", "inbox", newest_first, postgresql_where=undelivered)
    op.drop_index("ix_inbox_waiting", "inbox")  # the one above answers for it
    op.create_index("ix_inbox_vendor_page", "inbox", ["vendor", *newest_first], postgresql_where=undelivered)
    op.create_index(
        "ix_inbox_reference",
        "inbox",
        ["vendor", sa.literal_column("(event ->> 'reference')")],
        postgresql_where=sa.text("media_id IS NULL"),
    )


def downgrade() -> None:
    # Events that name their item by the vendor's reference only have no meaning in the older schema, and stay.
    op.create_index("ix_inbox_waiting", "inbox", ["received_at"], postgresql_where=sa.text("state = 'stored'"))
    op.drop_index("ix_inbox_reference", "inbox")
    op.drop_index("ix_inbox_vendor_page", "inbox")
    op.drop_index("ix_inbox_page", "inbox")
    op.drop_table("vendor_usage")
    op.drop_table("vendor_result")
    op.drop_table("vendor_health")
    op.drop_table("vendor_submission")
