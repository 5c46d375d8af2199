"""scrubs, retention and trash

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# What the objects of an item count as. NULL has none.
STORAGE_OF = """
    CREATE FUNCTION storage_of(item media) RETURNS TABLE (kind text, objects bigint, bytes bigint)
    LANGUAGE sql IMMUTABLE AS $$
        SELECT 'master', 1::bigint, COALESCE(item.bytes, 0) WHERE item.master_key IS NOT NULL
        UNION ALL
        SELECT 'announced', 1, item.declared_bytes WHERE item.master_key IS NULL AND item.status = 'awaiting_upload'
        UNION ALL
        SELECT 'backup', 1, COALESCE(item.bytes, 0) WHERE item.backup_key IS NOT NULL
    $$
"""
MEDIA_CHANGED = """
    CREATE FUNCTION storage_media_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO storage_change (library_id, status, kind, objects, bytes)
        SELECT library_id, status, kind, sum(objects), sum(bytes) FROM (
            SELECT OLD.library_id, OLD.status, kind, -objects AS objects, -bytes AS bytes FROM storage_of(OLD)
            UNION ALL
            SELECT NEW.library_id, NEW.status, kind, objects, bytes FROM storage_of(NEW)
        ) AS change GROUP BY library_id, status, kind HAVING sum(objects) <> 0 OR sum(bytes) <> 0;
        IF TG_OP = 'UPDATE' AND (OLD.library_id, OLD.status) IS DISTINCT FROM (NEW.library_id, NEW.status) THEN
            INSERT INTO storage_change (library_id, status, kind, objects, bytes)
            SELECT place.library_id, place.status, 'variant', place.sign * count(*), place.sign * sum(bytes)
            FROM variant, (VALUES (OLD.library_id, OLD.status, -1), (NEW.library_id, NEW.status, 1))
                AS place (library_id, status, sign)
            WHERE media_id = NEW.id GROUP BY place.library_id, place.status, place.sign;
        END IF;
        RETURN NULL;
    END $$
"""
VARIANT_CHANGED = """
    CREATE FUNCTION storage_variant_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        objects bigint := (TG_OP = 'INSERT')::int - (TG_OP = 'DELETE')::int;
        more bigint := COALESCE(NEW.bytes, 0) - COALESCE(OLD.bytes, 0);
    BEGIN
        IF objects <> 0 OR more <> 0 THEN
            INSERT INTO storage_change (library_id, status, kind, objects, bytes)
            SELECT library_id, status, 'variant', objects, more FROM media WHERE id = COALESCE(NEW.media_id, OLD.media_id);
        END IF;
        RETURN NULL;
    END $$
"""
COUNTED = "status, master_key, backup_key, bytes, declared_bytes, library_id"
FIRST_COUNT = """
    INSERT INTO storage_usage (library_id, status, kind, objects, bytes)
    SELECT library_id, status, kind, sum(objects), sum(held.bytes)
    FROM media, storage_of(media) AS held GROUP BY library_id, status, kind
    UNION ALL
    SELECT library_id, status, 'variant', count(*), sum(variant.bytes)
    FROM variant JOIN media ON media.id = variant.media_id GROUP BY library_id, status
"""


def upgrade() -> None:
    op.alter_column("notification", "library_id", nullable=True)
    _usage()
    _trash()
    _scrubs()
    for statement in (STORAGE_OF, MEDIA_CHANGED, VARIANT_CHANGED, FIRST_COUNT):
        op.execute(statement)
    op.execute(
        f"CREATE TRIGGER media_storage AFTER INSERT OR DELETE OR UPDATE OF {COUNTED} ON media"
        " FOR EACH ROW EXECUTE FUNCTION storage_media_changed()"
    )
    op.execute(
        "CREATE TRIGGER variant_storage AFTER INSERT OR DELETE OR UPDATE OF bytes ON variant"
        " FOR EACH ROW EXECUTE FUNCTION storage_variant_changed()"
    )


def _numbers() -> tuple[sa.Column, ...]:  # type: ignore[type-arg]
    return (
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("objects", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
    )


def _usage() -> None:
    op.create_table(
        "storage_usage",
        sa.Column("library_id", sa.Uuid(), nullable=False),
        *_numbers(),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.PrimaryKeyConstraint("library_id", "status", "kind"),
    )
    op.create_table(
        "storage_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        *_numbers(),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_storage_change_library", "storage_change", ["library_id"])
    op.create_table(
        "storage_space",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("short_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )


def _trash() -> None:
    op.create_table(
        "trash",
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("status_before", sa.String(32), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("trashed_by", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("trashed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erase_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("purge_owed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"]),
        sa.PrimaryKeyConstraint("media_id"),
    )
    op.create_index("ix_trash_due", "trash", ["erase_after", "media_id"])
    op.create_index("ix_trash_purge_owed", "trash", ["trashed_at"], postgresql_where=sa.text("purge_owed"))
    op.create_table(
        "object_removal",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"]),
        sa.PrimaryKeyConstraint("key"),
    )


def _scrubs() -> None:
    op.create_table(
        "scrub",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=True),
        sa.Column("quick", sa.Boolean(), nullable=False),
        sa.Column("repair", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("started_by", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("rows", "bytes", "listed")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("missing", "altered", "untracked", "repaired")),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_scrub_page", "scrub", [sa.text("started_at DESC"), sa.text("id DESC")])
    op.create_table(
        "scrub_finding",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("scrub_id", sa.Uuid(), nullable=False),
        sa.Column("last_scrub_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("library", sa.String(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("alerted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["last_scrub_id"], ["scrub.id"]),
        sa.ForeignKeyConstraint(["scrub_id"], ["scrub.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    unended = sa.text("state = 'open'")
    op.create_index("uq_scrub_finding_open", "scrub_finding", ["key"], unique=True, postgresql_where=unended)
    op.create_index("ix_scrub_finding_page", "scrub_finding", [sa.text("found_at DESC"), sa.text("id DESC")])
    op.create_index("ix_scrub_finding_scrub", "scrub_finding", ["last_scrub_id"])


def downgrade() -> None:
    op.execute("DROP TRIGGER media_storage ON media")
    op.execute("DROP TRIGGER variant_storage ON variant")
    for function in ("storage_media_changed()", "storage_variant_changed()", "storage_of(media)"):
        op.execute(f"DROP FUNCTION {function}")
    for table in (
        "scrub_finding",
        "scrub",
        "object_removal",
        "trash",
        "storage_space",
        "storage_change",
        "storage_usage",
    ):
        op.drop_table(table)
    op.execute("DELETE FROM notification WHERE library_id IS NULL")
    op.alter_column("notification", "library_id", nullable=False)
