"""What people may do, by the role of their token. Standard library only."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """One role includes all those before it."""

    VIEWER = "viewer"  #: looks at the site, its power, nodes and jobs
    RESEARCHER = "researcher"  #: submits, and does as it likes with its own jobs
    OPERATOR = "operator"  #: limits the power, makes tokens, touches everybody's jobs
    ADMIN = "admin"  #: the site's own token: may do all

    def includes(self, other: Role) -> bool:
        """Tell whether whoever has this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)
