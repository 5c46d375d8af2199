"""several object stores

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "library_placement",
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("home", sa.String(), nullable=False),
        sa.Column("beside", sa.String(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("beside <> home", name="ck_library_placement_sides"),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.PrimaryKeyConstraint("library_id"),
    )


def downgrade() -> None:
    op.drop_table("library_placement")
