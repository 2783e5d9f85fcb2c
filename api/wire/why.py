"""What a person gives as a reason, on the wire."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from barq.request import Text

MAX_REASON: Final = 500


def _says_something(text: str) -> str:
    if not text.strip():
        raise ValueError("say why in a few words")
    return text.strip()


Why = Annotated[Text, Field(max_length=MAX_REASON), AfterValidator(_says_something)]
