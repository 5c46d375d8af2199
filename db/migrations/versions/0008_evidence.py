"""sealed evidence, its access log, legal holds

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

REFUSE = """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'rows of % are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END $$
"""


def _append_only(table: str, *, but: tuple[str, ...] = ()) -> None:
    """Refuse every change, but for that of a few columns alone, to everybody who cannot take triggers away."""
    changed = "OLD IS DISTINCT FROM NEW"
    if but:
        names = "'{" + ",".join(but) + "}'::text[]"
        changed = f"to_jsonb(OLD) - {names} IS DISTINCT FROM to_jsonb(NEW) - {names}"
    for name, when in (
        ("update", f"BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({changed})"),
        ("delete", f"BEFORE DELETE ON {table} FOR EACH ROW"),
        ("truncate", f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT"),
    ):
        op.execute(f"CREATE TRIGGER {table}_no_{name} {when} EXECUTE FUNCTION refuse_change()")


def upgrade() -> None:
    op.create_table(
        "evidence",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("object_key", sa.String(), nullable=False),
        sa.Column("object_version", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("sealed_sha256", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retain_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prev_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"]),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_evidence_seq", "evidence", ["seq"], unique=True)
    op.create_index("uq_evidence_round", "evidence", ["media_id", "round"], unique=True)
    op.create_index("ix_evidence_page", "evidence", ["library_id", sa.text("sealed_at DESC"), sa.text("id DESC")])
    op.create_table(
        "evidence_access",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("evidence_id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("tracking_id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prev_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["evidence_id"], ["evidence.id"]),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_evidence_access_seq", "evidence_access", ["seq"], unique=True)
    op.create_index(
        "ix_evidence_access_page", "evidence_access", ["evidence_id", sa.text("at DESC"), sa.text("id DESC")]
    )
    op.create_table(
        "legal_hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.String(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_by", sa.String(), nullable=False),
        sa.Column("release_reason", sa.Text(), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "uq_legal_hold_active", "legal_hold", ["media_id"], unique=True, postgresql_where=sa.text("released_at IS NULL")
    )
    op.execute(REFUSE)
    _append_only("evidence", but=("key_id", "wrapped_key"))
    _append_only("evidence_access")


def downgrade() -> None:
    op.drop_table("legal_hold")
    op.drop_table("evidence_access")
    op.drop_table("evidence")
    op.execute("DROP FUNCTION refuse_change()")
