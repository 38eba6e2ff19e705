"""A read-only load from any OpenAPI document: what may be asked, with which values, and what an answer must be."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tidegauge.errors import TidegaugeError
from tidegauge.load.openapi.document import Plan, Route, host_of, plan_of, read_document
from tidegauge.load.openapi.schema import mismatch
from tradebot.api.app import create_app

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "servers": [{"url": "/v1"}],
    "paths": {
        "/orders": {
            "parameters": [{"$ref": "#/components/parameters/Account"}],
            "get": {
                "parameters": [{"name": "limit", "in": "query", "required": False, "schema": {"type": "integer"}}],
                "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/O"}}}}},
            },
            "post": {"responses": {"201": {}}},
            "delete": {"responses": {"204": {}}},
        },
        "/orders/{id}": {
            "get": {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]}
        },
        "/bars/{symbol}": {
            "get": {
                "parameters": [
                    {"name": "symbol", "in": "path", "required": True, "schema": {"examples": ["BRK/B"]}},
                    {"name": "side", "in": "query", "required": True, "schema": {"enum": ["buy", "sell"]}},
                    {"name": "X-Depth", "in": "header", "required": True, "schema": {"default": 5}},
                ],
                "responses": {"2XX": {"content": {"text/csv": {}}}, "404": {}},
            },
            "head": {"parameters": [{"name": "symbol", "in": "path", "example": "SPY"}], "responses": {"default": {}}},
        },
        "/ticks": {"get": {"responses": {"200": {"content": {"text/event-stream": {}}}}}},
    },
    "components": {
        "parameters": {"Account": {"name": "account", "in": "query", "required": True, "example": "DU 1"}},
        "schemas": {
            "O": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}},
            "Order": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "integer"},
                    "price": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                    "parent": {"$ref": "#/components/schemas/Order"},
                },
                "additionalProperties": False,
            },
        },
    },
}


def bots_document() -> dict[str, Any]:
    """The reference bot's own; the document asks the bot for nothing but its token, and what time it is."""

    class Anything:
        def __getattr__(self, name: str) -> Any:
            return "token" if name == "token" else Anything()

        def __call__(self) -> datetime:
            return datetime(2026, 1, 2, tzinfo=UTC)

    async def made() -> dict[str, Any]:
        return create_app(Anything()).openapi()

    return json.loads(json.dumps(asyncio.run(made())))  # type: ignore[no-any-return]


def route(name: str, method: str = "GET", plan: Plan | None = None) -> Route:
    """One of the routes of DOCUMENT."""
    return next(each for each in (plan or plan_of(DOCUMENT)).routes if (each.method, each.name) == (method, name))


def test_only_safe_routes_with_known_parameters_are_asked() -> None:
    """What writes, what needs a value that nobody gives and what never ends is left out, the last two with a reason."""
    plan = plan_of(DOCUMENT)
    assert [(each.method, each.url) for each in plan.routes] == [
        ("GET", "/v1/orders?account=DU+1"),
        ("GET", "/v1/bars/BRK%2FB?side=buy"),
        ("HEAD", "/v1/bars/SPY"),
    ]
    assert route("/v1/bars/{symbol}").headers == {"X-Depth": "5"}
    assert plan.skipped == {
        "GET /orders/{id}": "its path parameter id has no example, default or enum",
        "GET /ticks": "its answer is a stream, which never ends",
    }


@pytest.mark.parametrize(
    ("status", "kind", "body", "problem"),
    [
        (200, "application/json; charset=utf-8", b'[{"id": 1, "price": null, "parent": {"id": 2}}]', ""),
        (200, "application/json", b'[{"id": 1, "parent": {}}]', "$[0].parent lacks 'id'"),
        (200, "application/json", b'[{"id": true}]', "$[0].id is boolean, not integer"),
        (200, "application/json", b'[{"id": 1, "x": 1}]', "$[0] has 'x', which is not declared"),
        (200, "application/json", b'[{"id": 1, "price": "1"}]', "$[0].price is none of its alternatives"),
        (200, "application/json", b"[", "says JSON and is none"),
        (200, "text/html", b"<p>", "content text/html is not declared, only application/json"),
        (204, "", b"", "status 204 is not declared, only 200"),
        (503, "", b"", "status 503 is not declared"),
    ],
)
def test_an_answer_is_held_against_the_document(status: int, kind: str, body: bytes, problem: str) -> None:
    """Status, content type, JSON and its schema: a fast wrong answer is a failure, and says what is wrong."""
    found = route("/v1/orders").problem(status, kind, body)
    assert found.startswith(problem)
    assert bool(found) is bool(problem)


def test_a_declared_refusal_is_a_failure_but_for_an_example_that_does_not_exist() -> None:
    """A document may declare 503, and a load of nothing else is still no load; its own example may be unknown here."""
    bars = route("/v1/bars/{symbol}")
    assert bars.problem(206, "text/csv", b"1,2") == ""
    assert bars.problem(404, "", b"") == ""
    assert route("/v1/bars/{symbol}", "HEAD").problem(503, "", b"") == "status 503: refused, though declared"


def test_the_reference_bot_is_asked_for_what_it_shows() -> None:
    """Every GET of the bot's own document is planned or skipped with its reason, and nothing else."""
    document = bots_document()
    plan = plan_of(document)
    asked = {f"{each.method} {each.name}" for each in plan.routes}
    assert {"GET /api/positions", "GET /health/live", "GET /metrics", "GET /api/orders"} <= asked
    gets = {f"GET {path}" for path, item in document["paths"].items() if "get" in item}
    assert asked | set(plan.skipped) == gets
    assert all("{" in name for name in plan.skipped)
    live = route("/health/live", plan=plan)
    assert live.problem(200, "application/json", b'{"live": true}') == ""
    assert "not True" in live.problem(200, "application/json", b'{"live": false}')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("{", "is no JSON"),
        ('{"swagger": "2.0"}', "is no OpenAPI 3 document"),
        ('{"openapi": "3.0.0"}', "has no paths"),
    ],
)
def test_a_document_that_is_none_is_one_line(tmp_path: Path, content: str | None, said: str) -> None:
    """What is wrong with it, and what to name instead."""
    path = tmp_path / "openapi.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TidegaugeError, match=said) as error:
        read_document(str(path))
    assert "Name the URL or the file" in str(error.value)


def test_a_document_comes_from_a_url_that_is_asked_at_once(unused_port: int) -> None:
    """Nobody listening is a user's mistake, not a traceback."""
    with pytest.raises(TidegaugeError, match="Cannot read"):
        read_document(f"http://127.0.0.1:{unused_port}/openapi.json")


@pytest.mark.parametrize(
    ("server", "source", "host"),
    [
        ("/v1", "http://127.0.0.1:8080/openapi.json", "http://127.0.0.1:8080"),
        ("https://bot.example/v1", "openapi.json", "https://bot.example"),
        ("/v1", "openapi.json", ""),
    ],
)
def test_the_host_is_where_the_document_says(server: str, source: str, host: str) -> None:
    """A server's URL may be relative to the document's own."""
    assert host_of({"servers": [{"url": server}]}, source) == host


def test_what_a_schema_says_beyond_us_is_not_judged() -> None:
    """Keywords that are not understood, dead references and endless ones let everything through."""
    endless = {"a": {"$ref": "#/a"}}
    assert mismatch(1, {"$ref": "#/a"}, endless) == ""
    assert mismatch(1, {"$ref": "#/nowhere"}, {}) == ""
    assert mismatch("x", {"type": "string", "pattern": "^y$"}, {}) == ""
    assert mismatch(None, {"type": "string", "nullable": True}, {}) == ""
    assert mismatch(2.0, {"type": "integer"}, {}) == ""
    assert mismatch("c", {"enum": ["a"]}, {}) != ""
    assert mismatch({}, {"allOf": [{"required": ["a"]}]}, {}) == "$ lacks 'a'"


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
