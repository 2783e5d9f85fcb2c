"""The machines of miner groups, the changes of who they are and whose, and what people want of them.

Revision: 0013, after 0012.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from scheduler.store.columns import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TOLD = ("partner", "address", "serial", "mac", "make", "model", "firmware", "firmware_version")


def upgrade() -> None:
    op.create_table(
        "machines",
        sa.Column("miner_id", sa.String(), primary_key=True),
        sa.Column("group_id", sa.String(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in _TOLD),
        sa.Column("pools", sa.Text(), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime()),
        sa.Column("vanished_at", UtcDateTime()),
    )
    op.create_index("ix_machines_group_id", "machines", ["group_id"])
    op.create_table(
        "machine_changes",
        sa.Column("seq", BIG, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("miner_id", "group_id", "partner")),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
    )
    op.create_index("ix_machine_changes_miner_id_seq", "machine_changes", ["miner_id", "seq"])
    op.create_table(
        "machine_wishes",
        sa.Column("id", BIG, primary_key=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("miner_id", "group_id", "wish", "by")),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("over_at", UtcDateTime()),
    )
    op.create_index("ix_machine_wishes_miner_id_id", "machine_wishes", ["miner_id", "id"])
    op.create_index("ix_machine_wishes_over_at", "machine_wishes", ["over_at"])


def downgrade() -> None:
    for table in ("machine_wishes", "machine_changes", "machines"):
        op.drop_table(table)
