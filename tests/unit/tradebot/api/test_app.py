"""What holds for every route: who may ask, how errors look, and that the OpenAPI document tells the truth."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tradebot.api.app import create_app
from tradebot.api.routes import alerts, health, operations, portfolio, reconcile, strategies, workflows
from tradebot.domain.errors import SettingsError

Run = Any
ROUTERS = (
    health.probes,
    *(each.router for each in (health, workflows, strategies, portfolio, alerts, reconcile, operations)),
)
ROUTES = sorted((method, route.path) for router in ROUTERS for route in router.routes for method in route.methods)
PROBES = {"/health/live", "/health/ready"}


def test_every_route_but_the_probes_needs_the_token(run: Run) -> None:
    """Without a token, with a wrong one and with another scheme each route answers 401 in the one shape."""

    async def scenario(world: Any) -> None:
        async with world.client() as stranger:
            for method, path in [*ROUTES, ("GET", "/openapi.json"), ("GET", "/nowhere")]:
                for given in (
                    {},
                    {"Authorization": "Bearer wrong"},
                    {"Authorization": "Basic YTpi"},
                    {"Authorization": ""},
                ):
                    answer = await stranger.request(method, path, headers=given)
                    if path in PROBES:
                        assert answer.status_code == 200
                        continue
                    assert (answer.status_code, path) == (401, path)
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
                    assert answer.json()["error"]["code"] == "unauthorised"

    run(scenario)


def test_the_token_never_travels_in_the_address(run: Run) -> None:
    """A token in the query string opens nothing, for requests and sockets alike."""

    async def scenario(world: Any) -> None:
        async with world.client() as stranger:
            assert (await stranger.get("/health", params={"token": world.bot.settings.api.token})).status_code == 401

    run(scenario)


def test_a_service_without_a_token_does_not_start(run: Run) -> None:
    """An empty token is a wrong setting, not an open door."""

    async def scenario(world: Any) -> None:
        with pytest.raises(SettingsError, match=r"api\.token"):
            create_app(type(world.bot)(token=""))

    run(scenario)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/positions/", 404, "not_found"),
        ("DELETE", "/api/positions", 405, "method_not_allowed"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/api/alerts?limit=0", 422, "invalid"),
        ("GET", "/api/alerts?state=asleep", 422, "invalid"),
    ],
)
def test_errors_of_the_framework_have_our_shape(run: Run, method: str, path: str, status: int, code: str) -> None:
    """What no route answers is answered like everything else."""

    async def scenario(world: Any) -> None:
        answer = await world.http.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert answer.json()["error"]["message"]

    run(scenario)


def test_a_large_body_is_refused_even_when_its_length_is_not_told(run: Run) -> None:
    """Above 64 KiB the answer is 413, with and without a Content-Length."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    async def scenario(world: Any) -> None:
        for content in (b" " * (64 * 1024 + 1), pieces()):
            answer = await world.http.post(
                "/api/workflows/entry", content=content, headers={"Content-Type": "application/json"}
            )
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")

    run(scenario)


def test_an_unexpected_error_is_a_plain_500(run: Run) -> None:
    """What nobody foresaw is told without its inside."""

    async def scenario(world: Any) -> None:
        world.bot.desk.error = ZeroDivisionError("the secret inside")
        answer = await world.http.post("/api/workflows/entry", json={"symbol": "SPY", "kind": "vertical"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
        assert "secret" not in answer.text

    run(scenario)


def test_the_openapi_document_is_complete(run: Run) -> None:
    """Every route is in it with a model for each answer, security, unique ids, and references that lead somewhere."""

    async def scenario(world: Any) -> None:
        document = (await world.http.get("/openapi.json")).json()
        operations = {(m.upper(), p): op for p, each in document["paths"].items() for m, op in each.items()}
        assert sorted(operations) == ROUTES
        assert len({op["operationId"] for op in operations.values()}) == len(operations)
        assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
        for (_, path), operation in operations.items():
            assert ("security" in operation) is (path not in PROBES)
            assert ("401" in operation["responses"]) is (path not in PROBES)
            for status, response in operation["responses"].items():
                content = response["content"]
                if path == "/metrics" and status == "200":
                    assert "text/plain" in content
                elif int(status) >= 400:
                    assert content["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")
                else:
                    assert content["application/json"]["schema"], (path, status)
        for piece in json.dumps(document).split('"$ref": "')[1:]:
            name = piece.partition('"')[0].removeprefix("#/components/schemas/")
            assert name in document["components"]["schemas"]

    run(scenario)
