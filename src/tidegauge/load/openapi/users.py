"""Locust users made of an OpenAPI document: a task for each safe route, each answer held against the document."""

import os
from collections.abc import Callable
from typing import Any

from locust import FastHttpUser

from tidegauge.errors import TidegaugeError
from tidegauge.load.openapi.document import TOKEN, Plan, Route, plan_of

Task = Callable[[FastHttpUser], None]


def users_from(document: dict[str, Any], host: str) -> list[type[FastHttpUser]]:
    """One class, whose tasks are the routes; a document without any is nothing to load."""
    plan = plan_of(document)
    if not plan.routes:
        raise TidegaugeError(
            f"The document has no safe route that can be asked ({_why(plan)})",
            "Give its parameters examples, or write a locustfile.",
        )
    tasks = [_task(route) for route in plan.routes]
    return [type("OpenApiUser", (FastHttpUser,), {"abstract": False, "host": host or None, "tasks": tasks})]


def _task(route: Route) -> Task:
    token = os.environ.get(TOKEN)
    headers = route.headers | ({"Authorization": f"Bearer {token}"} if token else {})

    def ask(user: FastHttpUser) -> None:
        name = f"{route.method} {route.name}"
        with user.client.request(
            route.method, route.url, headers=headers, name=name, catch_response=True, allow_redirects=False
        ) as answer:
            if not answer.status_code:
                return  # no answer at all: Locust says why
            kind = (answer.headers or {}).get("content-type", "")
            if problem := route.problem(answer.status_code, kind, answer.content or b""):
                answer.failure(problem)
            else:
                answer.success()

    ask.__name__ = f"{route.method} {route.name}"
    return ask


def _why(plan: Plan) -> str:
    return next((f"{name}: {reason}" for name, reason in plan.skipped.items()), "it has no GET or HEAD")
