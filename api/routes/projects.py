"""Projects: their quotas, what they use, and whose turn it is."""

from __future__ import annotations

import json

from fastapi import APIRouter

from api.context import Here
from api.wire.projects import Projects

router = APIRouter(tags=["site"])


@router.get("/projects")
def list_projects(here: Here) -> Projects:
    """Show each project's quota, GPUs, decayed use and rank. None before the scheduler ran, or if none is named."""
    document = here.desk.current("projects")
    return Projects(projects=[]) if document is None else Projects.model_validate(json.loads(document.text))
