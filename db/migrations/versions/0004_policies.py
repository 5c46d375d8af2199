"""versioned policies, shadow decisions, learnt reliability, policy runs

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PAGE = [sa.text("created_at DESC"), sa.text("id DESC")]

REFUSE = """
    CREATE FUNCTION refuse_policy_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'rows of % are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END $$
"""


def upgrade() -> None:
    op.add_column("decision", sa.Column("risk", sa.Float(), nullable=False, server_default="0"))
    op.add_column("decision", sa.Column("rule", sa.String(), nullable=False, server_default=""))
    _policies()
    _learnt()
    _runs()


def _policies() -> None:
    op.create_table(
        "policy",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("mode", sa.String(32), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=False, server_default=""),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_policy_number", "policy", ["library_id", "number"], unique=True)
    op.create_index(
        "uq_policy_mode",
        "policy",
        ["library_id", "mode"],
        unique=True,
        postgresql_where=sa.text("mode IN ('live', 'shadow')"),
    )
    op.create_index("ix_policy_page", "policy", ["library_id", *PAGE])
    op.create_table(
        "policy_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("policy_id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("from_mode", sa.String(), nullable=False),
        sa.Column("to_mode", sa.String(32), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["policy_id"], ["policy.id"]),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_policy_change_policy", "policy_change", ["policy_id", "id"])
    op.execute(REFUSE)
    for when in ("BEFORE UPDATE OR DELETE ON policy_change FOR EACH ROW", "BEFORE TRUNCATE ON policy_change"):
        name = "policy_change_no_truncate" if "TRUNCATE" in when else "policy_change_no_change"
        op.execute(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION refuse_policy_change()")


def _learnt() -> None:
    op.create_table(
        "shadow_decision",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("policy_id", sa.Uuid(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(32), nullable=False),
        sa.Column("reasons", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("risk", sa.Float(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("live_verdict", sa.String(32), nullable=False),
        sa.Column("live_version", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["policy_id"], ["policy.id"]),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_shadow_decision", "shadow_decision", ["media_id", "policy_id", "round"], unique=True)
    op.create_index("ix_shadow_decision_page", "shadow_decision", ["policy_id", *PAGE])
    op.create_table(
        "vendor_reliability",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=True),
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("tp", "fp", "tn", "fn")),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "uq_vendor_reliability",
        "vendor_reliability",
        ["library_id", "vendor", "category"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )


def _runs() -> None:
    op.create_table(
        "policy_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("policy_id", sa.Uuid(), nullable=False),
        sa.Column("mode", sa.String(32), nullable=False),
        sa.Column("undoes", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("last", sa.Integer(), nullable=True),
        sa.Column("include_human", sa.Boolean(), nullable=False),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("would_change", "applied", "skipped", "failed")),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirm_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_by", sa.String(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["library_id"], ["library.id"]),
        sa.ForeignKeyConstraint(["policy_id"], ["policy.id"]),
        sa.ForeignKeyConstraint(["undoes"], ["policy_run.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_policy_run_page", "policy_run", ["library_id", *PAGE])
    op.create_index(
        "uq_policy_run_open",
        "policy_run",
        ["library_id"],
        unique=True,
        postgresql_where=sa.text("mode <> 'dry_run' AND ended_at IS NULL"),
    )
    op.create_index("ix_policy_run_undoes", "policy_run", ["undoes"], postgresql_where=sa.text("undoes IS NOT NULL"))
    op.create_table(
        "policy_run_item",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from_verdict", sa.String(32), nullable=False),
        sa.Column("from_version", sa.String(), nullable=False),
        sa.Column("from_reasons", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("from_round", sa.Integer(), nullable=False),
        sa.Column("to_verdict", sa.String(32), nullable=False),
        sa.Column("to_reasons", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("risk", sa.Float(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=True),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["policy_run.id"]),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"]),
        sa.PrimaryKeyConstraint("run_id", "media_id"),
    )
    page = [sa.text("at DESC"), sa.text("media_id DESC")]
    op.create_index("ix_policy_run_item_page", "policy_run_item", ["run_id", *page])
    op.create_index("ix_policy_run_item_state", "policy_run_item", ["run_id", "state", *page])
    op.create_index("ix_policy_run_item_media", "policy_run_item", ["media_id"])


def downgrade() -> None:
    op.drop_table("policy_run_item")
    op.drop_table("policy_run")
    op.drop_table("vendor_reliability")
    op.drop_table("shadow_decision")
    op.drop_table("policy_change")
    op.execute("DROP FUNCTION refuse_policy_change()")
    op.drop_table("policy")
    op.drop_column("decision", "rule")
    op.drop_column("decision", "risk")
