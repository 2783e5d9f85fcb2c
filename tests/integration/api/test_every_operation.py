"""Schemathesis walks the OpenAPI document: whatever an operation is sent, its answer is one that is documented.

The document is asked for when the test runs, so that a new route is walked without a word here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

from api.app import create_app
from tests.api_server import make_state

EXAMPLES: Final = 2
"""By chance for each operation, beside those that are derived from the bounds in its schema."""
ENDLESS: Final = frozenset({"follow"})
"""Parameters that make an answer go on until something else happens."""


@pytest.fixture
def config(request: pytest.FixtureRequest, url: str) -> SchemathesisConfig:
    """The same requests each time, to the site that is served, with its token."""
    token = (request.getfixturevalue("state") / "token").read_text("utf-8").strip()
    return SchemathesisConfig.from_dict(
        {
            "base-url": url,
            "headers": {"Authorization": f"Bearer {token}"},
            "seed": 1,
            "request-timeout": 60,
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "no-shrink": True},
            "phases": {"stateful": {"enabled": False}},
            "checks": {
                # No scheduler runs here, and that is what 503 is documented for; see _Walk.add.
                "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]},
                # What the site has, and whether a command makes sense, no schema can say.
                "positive_data_acceptance": {"enabled": False},
            },
        }
    )


class _Walk:
    """What came of it."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.answered: dict[str, set[int]] = {}

    def add(self, recorder: ScenarioRecorder) -> None:
        """Take in what came of some requests to one operation."""
        for nodes in recorder.checks.values():
            for found in (node.failure_info for node in nodes if node.failure_info is not None):
                self.complaints.append(f"{recorder.label}: {found.failure}\n{found.code_sample}")
        for interaction in recorder.interactions.values():
            if interaction.response is not None:
                self.answered.setdefault(recorder.label, set()).add(interaction.response.status_code)
                self._check_503(recorder.label, interaction.response)

    def _check_503(self, label: str, response: Response) -> None:
        if response.status_code == 503 and json.loads(response.content)["code"] != "not_ready":
            self.complaints.append(f"{label}: {response.content[:500]!r}")


def _walk(document: dict[str, Any], config: SchemathesisConfig) -> _Walk:
    walk = _Walk()
    schema = schemathesis.openapi.from_dict(document, config=config)
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished() | events.FuzzScenarioFinished():
                walk.add(event.recorder)
            case events.NonFatalError():
                walk.complaints.append(f"{event.label}: {event.value!r}")
            case events.FatalError():
                raise event.exception
            case _:
                pass
    return walk


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


@pytest.mark.timeout(900)
def test_every_answer_is_documented(
    tmp_path_factory: pytest.TempPathFactory, config: SchemathesisConfig
) -> None:
    """Status, content type, headers and shape, with a token and without, to sense and to nonsense."""
    document = create_app(make_state(tmp_path_factory.mktemp("document"))).openapi()
    for _, operation in _operations(document):
        parameters = operation.get("parameters", [])
        operation["parameters"] = [p for p in parameters if p["name"] not in ENDLESS]

    walk = _walk(document, config)

    assert not walk.complaints, "\n\n".join(walk.complaints)
    assert set(walk.answered) == {label for label, _ in _operations(document)}
    assert {201, 401, 422} <= walk.answered["POST /api/v1/jobs"]
