"""feature flags

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# By a trigger, so that a change made by hand is told as well; the notification goes out with the commit.
TELL = """
    CREATE FUNCTION flag_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('mediagate_flags', '');
        RETURN NULL;
    END $$
"""


def upgrade() -> None:
    json = postgresql.JSONB(astext_type=sa.Text())
    op.create_table(
        "flag",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("variants", json, nullable=False),
        sa.Column("default", sa.String(), nullable=False),
        sa.Column("off", sa.String(), nullable=False),
        sa.Column("rules", json, nullable=False),
        sa.Column("salt", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "flag_count",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("flag", sa.String(), nullable=False),
        sa.Column("variant", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "flag", "variant", "reason"),
    )
    op.create_index("ix_flag_count_flag", "flag_count", ["flag", "day"])
    op.execute(TELL)
    op.execute(
        "CREATE TRIGGER flag_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON flag"
        " FOR EACH STATEMENT EXECUTE FUNCTION flag_changed()"
    )


def downgrade() -> None:
    op.drop_table("flag_count")
    op.drop_table("flag")
    op.execute("DROP FUNCTION flag_changed()")
