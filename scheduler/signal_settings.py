"""What the site file says of a source of the limit, whatever its type."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from scheduler.equipment import Name, SteadySettings

Seconds = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class SignalSettings(BaseModel):
    """One source of the limit. Everything but these is read by the source's own file."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    name: str = ""
    poll_s: Seconds = 0.5
    binding: bool = True  #: False = what it tells may be refused by an operator, and does not count then
    steady: SteadySettings | None = None  #: None = as sources of this type are
    feeder: Annotated[str, Field(max_length=100)] = ""  #: that the limit is one of: shown wherever it is
    domain: Name | None = None  #: that it limits; None = the site

    def options(self) -> dict[str, Any]:
        """The keys that belong to the source itself."""
        return dict(self.model_extra or {})
