"""Runs Alembic's migrations inside the transaction that the caller holds. Reads no configuration file."""

from alembic import context

from voicectl.governance.store.schema import VERSION_TABLE
from voicectl.governance.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
