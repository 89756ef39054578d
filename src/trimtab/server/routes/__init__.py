"""Routes: parse, one service call, present. One module per concept."""

from __future__ import annotations

from fastapi import APIRouter

from trimtab.server.routes import (
    agents,
    bundles,
    events,
    history,
    jobs,
    judges,
    labels,
    loop,
    proposals,
    reviews,
    rollouts,
)

# In the order in which the loop turns.
ROUTERS: tuple[APIRouter, ...] = (
    loop.router,
    agents.router,
    events.router,
    labels.router,
    judges.router,
    reviews.router,
    bundles.router,
    proposals.router,
    rollouts.router,
    jobs.router,
    history.router,
)
