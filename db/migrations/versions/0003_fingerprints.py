"""fingerprints of pictures, and files found by their digest

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_media_library_sha256", "media", ["library_id", "sha256"])
    op.create_table(
        "fingerprint",
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("phash", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"]),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.PrimaryKeyConstraint("media_id"),
    )
    # Rows that vacuum has not seen cost the search a look into the table each; by default that may be a fifth of them.
    op.execute("ALTER TABLE fingerprint SET (autovacuum_vacuum_insert_scale_factor = 0.02)")
    for number in range(4):
        band = sa.literal_column(f"((phash >> {16 * number}) & 65535)")
        op.create_index(f"ix_fingerprint_band{number}", "fingerprint", ["library_id", band, "phash", "media_id"])


def downgrade() -> None:
    op.drop_table("fingerprint")
    op.drop_index("ix_media_library_sha256", "media")
