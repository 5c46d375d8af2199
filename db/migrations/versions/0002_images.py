"""pictures in several formats, frames, and what they were made by

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("variant", sa.Column("frame", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("variant", sa.Column("recipe", sa.String(), nullable=False, server_default=""))
    op.alter_column("variant", "frame", server_default=None)
    op.alter_column("variant", "recipe", server_default=None)
    op.drop_constraint("variant_pkey", "variant")
    op.create_primary_key("variant_pkey", "variant", ["media_id", "name", "format", "frame"])


def downgrade() -> None:
    # What the older schema has no place for: siblings, further frames; the objects stay until a scrub finds them.
    op.execute("DELETE FROM variant WHERE format <> 'jpeg' OR frame <> 0")
    op.drop_constraint("variant_pkey", "variant")
    op.create_primary_key("variant_pkey", "variant", ["media_id", "name"])
    op.drop_column("variant", "recipe")
    op.drop_column("variant", "frame")
