"""titles, alternative texts, tags and categories

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The defaults stay: processes of the version before go on inserting rows during a deployment.
    for name, kind in (
        ("title", sa.Text()),
        ("alt_text", sa.Text()),
        ("category", sa.String()),
        ("language", sa.String()),
    ):
        op.add_column("media", sa.Column(name, kind, nullable=False, server_default=""))
    op.add_column("media", sa.Column("tags", ARRAY(sa.Text()), nullable=False, server_default="{}"))
    op.create_index(
        "ix_media_tags", "media", ["tags"], postgresql_using="gin", postgresql_where=sa.text("tags <> '{}'")
    )
    op.create_index(
        "ix_media_category_page",
        "media",
        ["library_id", "category", sa.text("created_at DESC"), sa.text("id DESC")],
        postgresql_where=sa.text("category <> ''"),
    )


def downgrade() -> None:
    op.drop_index("ix_media_category_page", "media")
    op.drop_index("ix_media_tags", "media")
    for name in ("tags", "language", "category", "alt_text", "title"):
        op.drop_column("media", name)
