"""Alembic's entry point; the connection is handed over by `db.migrate`."""

from alembic import context
from sqlmodel import SQLModel

import db.tables  # noqa: F401  (fills the metadata)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    transaction_per_migration=True,
)

with context.begin_transaction():
    context.run_migrations()
