"""hash banks

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ENTRY_COMPARED = "phash IS NOT NULL AND state <> 'removed'"


def upgrade() -> None:
    op.create_table(
        "bank",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("polarity", sa.String(32), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("distance", sa.Integer(), nullable=False),
        sa.Column("flood_limit", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_bank_name", "bank", ["library_id", "name"], unique=True, postgresql_nulls_not_distinct=True)
    op.create_table(
        "bank_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("bank_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("phash", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("added_by", sa.String(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("floods", sa.Integer(), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reviewed_by", sa.String(), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["bank_id"], ["bank.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_bank_entry", "bank_entry", ["kind", "value", "bank_id"], unique=True)
    page = [sa.text("added_at DESC"), sa.text("id DESC")]
    op.create_index("ix_bank_entry_page", "bank_entry", ["bank_id", *page])
    op.create_index("ix_bank_entry_state_page", "bank_entry", ["bank_id", "state", *page])
    for number in range(4):
        band = sa.literal_column(f"((phash >> {16 * number}) & 65535)")
        columns = [band, "phash", "bank_id", "id"]
        where = sa.text(ENTRY_COMPARED)
        op.create_index(f"ix_bank_entry_band{number}", "bank_entry", columns, postgresql_where=where)
        # Of the expressions of a partial index the planner takes no statistics, and would guess far too many rows.
        op.execute(
            f"CREATE STATISTICS st_bank_entry_band{number} ON ((phash >> {16 * number}) & 65535) FROM bank_entry"
        )
    # As for fingerprints: rows that vacuum has not seen cost the search a look into the table each.
    op.execute("ALTER TABLE bank_entry SET (autovacuum_vacuum_insert_scale_factor = 0.02)")
    op.create_table(
        "bank_match",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("bank_id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("distance", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["bank_entry.id"]),
        sa.ForeignKeyConstraint(["bank_id"], ["bank.id"]),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_bank_match", "bank_match", ["media_id", "entry_id"], unique=True)
    op.create_index("ix_bank_match_flood", "bank_match", ["entry_id", "at"])
    op.create_index(
        "ix_bank_match_page", "bank_match", ["bank_id", "library_id", sa.text("at DESC"), sa.text("id DESC")]
    )


def downgrade() -> None:
    op.drop_table("bank_match")
    op.drop_table("bank_entry")
    op.drop_table("bank")
