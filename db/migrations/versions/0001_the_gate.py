"""the gate

Revision ID: 0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_table(
        "inbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=True),
        sa.Column("event", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "state",
            sa.Enum("stored", "delivered", "late", "unmatched", name="inboxstate", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("tracking_id", sa.String(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_inbox_media", "inbox", ["media_id"], unique=False)
    op.create_index(
        "ix_inbox_waiting", "inbox", ["received_at"], unique=False, postgresql_where=sa.text("state = 'stored'")
    )
    op.create_index("uq_inbox_event", "inbox", ["vendor", "event_id"], unique=True)
    op.create_table(
        "library",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("slug"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=True),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["library_id"],
            ["library.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("prefix"),
    )
    op.create_table(
        "batch",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("tracking_id", sa.String(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["library_id"],
            ["library.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "idempotent_request",
        sa.Column("api_key_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["api_key_id"],
            ["api_key.id"],
        ),
        sa.PrimaryKeyConstraint("api_key_id", "key", "route"),
    )
    op.create_index("ix_idempotent_request_age", "idempotent_request", ["created_at"], unique=False)
    op.create_table(
        "media",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "awaiting_upload",
                "accepted",
                "processing",
                "awaiting_moderation",
                "in_review",
                "approved",
                "rejected",
                "quarantined",
                "failed",
                "expired",
                "trashed",
                "erased",
                name="status",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("content_type", sa.String(), nullable=False),
        sa.Column("declared_bytes", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("caption", sa.Text(), nullable=False),
        sa.Column("master_key", sa.String(), nullable=True),
        sa.Column("backup_key", sa.String(), nullable=True),
        sa.Column("upload_token", sa.String(), nullable=True),
        sa.Column("tracking_id", sa.String(), nullable=False),
        sa.Column("vendor_reference", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("filed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["batch.id"],
        ),
        sa.ForeignKeyConstraint(
            ["library_id"],
            ["library.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_media_batch", "media", ["batch_id"], unique=False, postgresql_where=sa.text("batch_id IS NOT NULL")
    )
    op.create_index(
        "ix_media_expiring",
        "media",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'awaiting_upload'"),
    )
    op.create_index(
        "ix_media_filename",
        "media",
        ["filename"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"filename": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_media_library_page",
        "media",
        ["library_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_media_library_status_page",
        "media",
        ["library_id", "status", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_media_owed_start",
        "media",
        ["accepted_at"],
        unique=False,
        postgresql_where=sa.text("started_at IS NULL AND accepted_at IS NOT NULL"),
    )
    op.create_table(
        "decision",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("policy_version", sa.String(), nullable=False),
        sa.Column("reasons", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["media_id"],
            ["media.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_decision_round", "decision", ["media_id", "round", "final"], unique=True)
    op.create_table(
        "media_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["media_id"],
            ["media.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uq_media_event_key", "media_event", ["media_id", "key"], unique=True)
    op.create_table(
        "notification",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("library_id", sa.Uuid(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=True),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("tracking_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mail_claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mail_error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["library_id"],
            ["library.id"],
        ),
        sa.ForeignKeyConstraint(
            ["media_id"],
            ["media.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_notification_media", "notification", ["media_id"], unique=False)
    op.create_index(
        "ix_notification_page",
        "notification",
        ["library_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_notification_unmailed",
        "notification",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("mailed_at IS NULL AND mail_error = ''"),
    )
    op.create_table(
        "variant",
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("engine", sa.String(), nullable=False),
        sa.Column("trade", sa.String(), nullable=False),
        sa.Column("trials", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["media_id"],
            ["media.id"],
        ),
        sa.PrimaryKeyConstraint("media_id", "name"),
    )


def downgrade() -> None:
    op.drop_table("variant")
    op.drop_index(
        "ix_notification_unmailed",
        table_name="notification",
        postgresql_where=sa.text("mailed_at IS NULL AND mail_error = ''"),
    )
    op.drop_index("ix_notification_page", table_name="notification")
    op.drop_index("ix_notification_media", table_name="notification")
    op.drop_table("notification")
    op.drop_index("uq_media_event_key", table_name="media_event")
    op.drop_table("media_event")
    op.drop_index("uq_decision_round", table_name="decision")
    op.drop_table("decision")
    op.drop_index(
        "ix_media_owed_start",
        table_name="media",
        postgresql_where=sa.text("started_at IS NULL AND accepted_at IS NOT NULL"),
    )
    op.drop_index("ix_media_library_status_page", table_name="media")
    op.drop_index("ix_media_library_page", table_name="media")
    op.drop_index(
        "ix_media_filename", table_name="media", postgresql_using="gin", postgresql_ops={"filename": "gin_trgm_ops"}
    )
    op.drop_index("ix_media_expiring", table_name="media", postgresql_where=sa.text("status = 'awaiting_upload'"))
    op.drop_index("ix_media_batch", table_name="media", postgresql_where=sa.text("batch_id IS NOT NULL"))
    op.drop_table("media")
    op.drop_index("ix_idempotent_request_age", table_name="idempotent_request")
    op.drop_table("idempotent_request")
    op.drop_table("batch")
    op.drop_table("api_key")
    op.drop_table("library")
    op.drop_index("uq_inbox_event", table_name="inbox")
    op.drop_index("ix_inbox_waiting", table_name="inbox", postgresql_where=sa.text("state = 'stored'"))
    op.drop_index("ix_inbox_media", table_name="inbox")
    op.drop_table("inbox")
