"""Sums of settlement by party and day, made from the rows that are there.

Revision: 0016, after 0015.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SITE = "*"  #: whose rows are balances, and are not added up
SUMMED = ("metered_ws", "granted_ws", "curtailed_ws", "charge_micro", "credit_micro", "curtailed_ms")
COUNTED = ("unpriced", "notices", "notices_missed")
QUARTER = timedelta(minutes=15)


def upgrade() -> None:
    made = op.create_table(
        "settlement_days",
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("day_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, BIG, nullable=False) for name in SUMMED),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in COUNTED),
        sa.PrimaryKeyConstraint("party", "day_at", name="pk_settlement_days"),
    )
    if days := _days():
        op.bulk_insert(made, days)


def downgrade() -> None:
    op.drop_table("settlement_days")


def _days() -> list[dict[str, Any]]:
    """The sums of the rows that were written before there were sums."""
    names = ("party", "starts_at", "number", "body")
    rows = sa.table(
        "settlement_rows",
        sa.column("party", sa.String()),
        sa.column("starts_at", sa.DateTime(timezone=True)),
        sa.column("number", sa.Integer()),
        sa.column("body", sa.Text()),
    )
    asked = sa.select(*(rows.c[name] for name in names)).where(rows.c.party != SITE)
    days: dict[tuple[str, datetime], dict[str, Any]] = {}
    for party, starts_at, number, body in op.get_bind().execute(asked):
        at = starts_at.replace(tzinfo=UTC) if starts_at.tzinfo is None else starts_at.astimezone(UTC)
        day_at = at.replace(hour=0, minute=0, second=0, microsecond=0)
        day = days.setdefault((party, day_at), _empty(party, day_at))
        day["until_at"] = max(day["until_at"], at + QUARTER)
        for name, value in _sums(json.loads(body), is_adjustment=number > 0).items():
            day[name] += value
    return list(days.values())


def _empty(party: str, day_at: datetime) -> dict[str, Any]:
    return {"party": party, "day_at": day_at, "until_at": day_at, **dict.fromkeys((*SUMMED, *COUNTED), 0)}


def _sums(row: dict[str, Any], *, is_adjustment: bool) -> dict[str, int]:
    energy = row if is_adjustment else row["draft"]["energy"]
    notices = energy.get("notices", ())
    return {
        **{name: energy.get(name, 0) for name in ("metered_ws", "granted_ws", "curtailed_ms")},
        "curtailed_ws": sum(energy["curtailed_ws"].values()),
        "charge_micro": row["charge_micro"] or 0,
        "credit_micro": row["credit_micro"] or 0,
        "unpriced": int(row.get("quality") == "unpriced"),
        "notices": len(notices),
        "notices_missed": sum(notice["given_s"] < notice["due_s"] for notice in notices),
    }
