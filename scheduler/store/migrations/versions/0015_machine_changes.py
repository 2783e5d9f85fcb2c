"""A line of the log may tell of many machines: changes of machines are told apart by line and machine.

Downgraded, a line has room for one machine again: what it told of the others is left out of the record of changes.

Revision: 0015, after 0014.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from scheduler.store.columns import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_COLUMNS = ("seq", "miner_id", "group_id", "partner", "at", "what", "before", "after")
_TABLE, _INDEX, _OLD = "machine_changes", "ix_machine_changes_miner_id_seq", "machine_changes_before"


def upgrade() -> None:
    _renew("seq", "miner_id")
    _copy("")


def downgrade() -> None:
    _renew("seq")
    _copy(f" WHERE miner_id = (SELECT MIN(o.miner_id) FROM {_OLD} o WHERE o.seq = {_OLD}.seq)")  # noqa: S608 - as below


def _renew(*key: str) -> None:
    """The table anew, empty, with this key: SQLite cannot change the key of one."""
    op.drop_index(_INDEX, _TABLE)
    op.rename_table(_TABLE, _OLD)
    op.create_table(
        _TABLE,
        sa.Column("seq", BIG, nullable=False, autoincrement=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("miner_id", "group_id", "partner")),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(*key, name="pk_machine_changes_by_" + "_".join(key)),
    )
    op.create_index(_INDEX, _TABLE, ["miner_id", "seq"])


def _copy(where: str) -> None:
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    op.execute(f"INSERT INTO {_TABLE} ({names}) SELECT {names} FROM {_OLD}{where}")  # noqa: S608 - names of ours
    op.drop_table(_OLD)
