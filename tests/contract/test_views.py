"""What the client expects of an answer is what the API declares: the two are written down apart."""

from __future__ import annotations

from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel

from api.wire import domains, flexibility, forecast, jobs, miners, people, plans, site
from barq import machine_views, site_views, views

PAIRS: list[tuple[Any, type[BaseModel]]] = [
    (views.ReasonView, jobs.Reason),
    (views.PlacementView, jobs.Placement),
    (views.CommitView, jobs.Commit),
    (views.JobView, jobs.JobView),
    (views.JobPage, jobs.JobPage),
    (views.EventView, jobs.EventView),
    (views.AttemptView, jobs.AttemptView),
    (views.CheckpointView, jobs.CheckpointView),
    (views.WhyView, jobs.WhyView),
    (views.PlanView, plans.PlanView),
    (views.GpuView, site.GpuView),
    (views.MinerView, site.MinerView),
    (views.NodeView, site.NodeView),
    (site_views.SourceView, site.SourceView),
    (site_views.LimitView, site.LimitView),
    (site_views.ChangeView, domains.ChangeView),
    (site_views.DomainView, domains.DomainView),
    (site_views.FlexStepView, flexibility.FlexStepView),
    (site_views.FlexMeansView, flexibility.FlexMeansView),
    (site_views.FlexView, flexibility.FlexView),
    (site_views.QuantileView, forecast.QuantileView),
    (site_views.ForeseenView, forecast.ForeseenView),
    (site_views.PowerView, site.PowerView),
    (site_views.SummaryView, site.SummaryView),
    (machine_views.MachineWishView, miners.MachineWishView),
    (machine_views.MachineView, miners.MachineView),
    (machine_views.MinerTotals, miners.MinerTotals),
    (machine_views.MinerPage, miners.Miners),
    (machine_views.PoolView, miners.PoolView),
    (machine_views.MachineRecord, miners.MachineRecord),
    (machine_views.IdentityChangeView, miners.IdentityChangeView),
    (machine_views.MachineHistory, miners.MachineHistory),
    (machine_views.CannotView, miners.CannotView),
    (machine_views.MachinesWished, miners.MachinesWished),
    (views.TokenView, people.TokenView),
    (views.MadeTokenView, people.MadeToken),
    (views.MeView, people.Me),
]


@pytest.mark.parametrize("view,model", PAIRS, ids=lambda one: one.__name__)
def test_the_api_sends_what_the_client_reads(view: Any, model: type[BaseModel]) -> None:
    """Every key that the client knows is declared by the API."""
    assert view.__required_keys__ | view.__optional_keys__ <= set(model.model_fields)


@pytest.mark.parametrize("view,model", PAIRS, ids=lambda one: one.__name__)
def test_the_client_knows_what_may_be_null(view: Any, model: type[BaseModel]) -> None:
    """A field that the API may leave null is read as one that may be."""
    nullable = {name for name, field in model.model_fields.items() if NoneType in get_args(field.annotation)}
    strict = {name for name, kind in get_type_hints(view).items() if NoneType not in get_args(kind)}

    assert not nullable & strict
