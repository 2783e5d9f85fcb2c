"""Quarters of an hour, kept for ever, with what allowed each sample.

Revision: 0009, after 0008. Minutes that are there already make quarters whose energy is not classed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SUMS = (
    "covered_s",
    "over_limit_s",
    "limit_wh",
    "draw_wh",
    "ai_wh",
    "rest_wh",
    "miners_wh",
    "unused_wh",
)
NEW = (
    "good_s",
    "estimated_s",
    "stale_s",
    "bad_s",
    "unmetered_s",
    "firm_wh",
    "granted_wh",
    "breach_wh",
    "unclassed_wh",
)
AT_ONCE = 1000


def upgrade() -> None:
    op.add_column("samples", sa.Column("firm_w", sa.Float(), nullable=False, server_default="0"))
    op.add_column("samples", sa.Column("quality", sa.String(), nullable=True))
    op.add_column("samples", sa.Column("allowed", sa.Text(), nullable=True))
    quarters = op.create_table(
        "sample_quarters",
        sa.Column("quarter_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in (*SUMS, *NEW)),
        sa.Column("peak_minute_w", sa.Float(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("quarter_at", "number", name="pk_sample_quarters"),
    )
    rows = _quarters_of_minutes()
    for first in range(0, len(rows), AT_ONCE):
        op.bulk_insert(quarters, rows[first : first + AT_ONCE])


def _quarters_of_minutes() -> list[dict[str, Any]]:
    minutes = sa.table(
        "sample_minutes",
        sa.column("minute_at", sa.DateTime(timezone=True)),
        *(sa.column(name, sa.Float()) for name in SUMS),
    )
    found: dict[datetime, dict[str, Any]] = {}
    for row in op.get_bind().execute(sa.select(minutes).order_by(minutes.c.minute_at)).mappings():
        at: datetime = row["minute_at"]
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        quarter_at = at.replace(minute=at.minute // 15 * 15)
        quarter = found.setdefault(quarter_at, _empty(quarter_at))
        for name in SUMS:
            quarter[name] += row[name]
        quarter["unclassed_wh"] += row["draw_wh"]
    return list(found.values())


def _empty(quarter_at: datetime) -> dict[str, Any]:
    return {
        "quarter_at": quarter_at,
        "number": 0,
        **dict.fromkeys((*SUMS, *NEW), 0.0),
        "peak_minute_w": None,
        "evidence": "[]",
        "reason": "",
        "by": "",
        "recorded_at": None,
    }


def downgrade() -> None:
    op.drop_table("sample_quarters")
    op.drop_column("samples", "allowed")
    op.drop_column("samples", "quality")
    op.drop_column("samples", "firm_w")
