"""What may be asked of an API that we know only by its OpenAPI document: the safe routes, ready to send.

    URL or file ─▶ document ─▶ routes (GET and HEAD, every required parameter known) ─▶ users ─▶ Locust
                          └──▶ skipped, each with its reason

A required parameter is filled from its example, default, const or first enum value; one that has none makes its route
unknown, and the route is skipped. Nothing is ever sent but GET and HEAD, which HTTP calls safe. Streams are skipped:
they never end. `Route.problem` holds an answer against what the document declares.

Locust loads `locustfile()`, which finds the document in the environment: TIDEGAUGE_OPENAPI, and TIDEGAUGE_TOKEN where
the API wants a bearer's token. Bounds: a document of DOCUMENT_BYTES_MAX, ROUTES_MAX routes.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import httpx
import msgspec

from tidegauge.errors import TidegaugeError
from tidegauge.load.openapi.schema import mismatch, resolved

DOCUMENT = "TIDEGAUGE_OPENAPI"
TOKEN = "TIDEGAUGE_TOKEN"  # noqa: S105 - the name of a variable
DOCUMENT_BYTES_MAX = 16 * 1024 * 1024
DOCUMENT_S_MAX = 10.0
ROUTES_MAX = 1_000
SAFE = ("get", "head")
STREAMS = {"text/event-stream", "application/x-ndjson", "multipart/x-mixed-replace"}
NOT_FOUND = 404
ERRORS_FROM = 400


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One request that may be sent. `name` is its template, `url` has its parameters filled in."""

    method: str
    name: str
    url: str
    headers: dict[str, str]
    answers: dict[str, Any]  # what the document declares, by status
    filled: bool  # its path names a thing that we took from an example, and that may not exist
    document: dict[str, Any]

    def problem(self, status: int, content_type: str, body: bytes) -> str:
        """What is wrong with an answer, or nothing."""
        declared = next((key for key in (str(status), f"{status // 100}XX", "default") if key in self.answers), None)
        if declared is None:
            return f"status {status} is not declared, only {', '.join(sorted(self.answers)) or 'none'}"
        if status == NOT_FOUND and self.filled:
            return ""  # the document's own example does not exist here, and the API says so as it should
        if status >= ERRORS_FROM:
            return f"status {status}: refused, though declared"
        content = resolved(self.answers[declared], self.document).get("content") or {}
        if self.method == "HEAD" or not body or not content:
            return ""
        return self._problem_of_body(content, content_type.partition(";")[0].strip().lower(), body)

    def _problem_of_body(self, content: dict[str, Any], kind: str, body: bytes) -> str:
        if kind not in content and not any(each.endswith("/*") for each in content):
            return f"content {kind or 'of no type'} is not declared, only {', '.join(sorted(content))}"
        if not (kind == "application/json" or kind.endswith("+json")):
            return ""
        try:
            value = json.loads(body)
        except ValueError as error:
            return f"says JSON and is none: {error}"
        return mismatch(value, (content.get(kind) or {}).get("schema", {}), self.document)


class Plan(msgspec.Struct, frozen=True):
    """What can be asked, and what cannot, with the reason by route."""

    routes: tuple[Route, ...]
    skipped: dict[str, str]


def locustfile() -> Path:
    """The file for Locust's -f; it reads TIDEGAUGE_OPENAPI."""
    return Path(__file__).with_name("locustfile.py")


def read_document(source: str) -> dict[str, Any]:
    """The document at a URL or in a file; one line says what is wrong with it."""
    remedy = "Name the URL or the file of an OpenAPI 3 document in JSON, such as http://127.0.0.1:8080/openapi.json."
    try:
        content = _fetched(source) if source.startswith(("http://", "https://")) else _file(source)
    except (OSError, httpx.HTTPError) as error:
        raise TidegaugeError(f"Cannot read {source}: {str(error) or type(error).__name__}", remedy) from error
    if len(content) > DOCUMENT_BYTES_MAX:
        raise TidegaugeError(f"{source} is longer than {DOCUMENT_BYTES_MAX} bytes", remedy)
    try:
        document = json.loads(content)
    except ValueError as error:
        raise TidegaugeError(f"{source} is no JSON: {error}", remedy) from error
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise TidegaugeError(f"{source} is no OpenAPI 3 document", remedy)
    if not isinstance(document.get("paths"), dict):
        raise TidegaugeError(f"{source} has no paths", remedy)
    return document


def host_of(document: Mapping[str, Any], source: str) -> str:
    """Where the API is: its first server's URL, relative to where the document was found."""
    servers = document.get("servers") or [{}]
    found = urljoin(source if "://" in source else "", str(servers[0].get("url", "/")))
    parts = urlsplit(found)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def plan_of(document: dict[str, Any]) -> Plan:
    """Every safe route of the document, filled or skipped."""
    base = urlsplit(str((document.get("servers") or [{}])[0].get("url", ""))).path.rstrip("/")
    routes: list[Route] = []
    skipped: dict[str, str] = {}
    for method, path, common, operation in _safe(document):
        if len(routes) >= ROUTES_MAX:
            skipped[f"{method} {path}"] = f"more than {ROUTES_MAX} routes"
            continue
        route = _route(document, method, base + path, [*common, *operation.get("parameters", [])], operation)
        if isinstance(route, str):
            skipped[f"{method} {path}"] = route
        else:
            routes.append(route)
    return Plan(tuple(routes), skipped)


def _safe(document: dict[str, Any]) -> Iterator[tuple[str, str, list[Any], dict[str, Any]]]:
    for path, item in document["paths"].items():
        facts = resolved(item, document)
        for method in SAFE:
            if isinstance(operation := facts.get(method), dict):
                yield method.upper(), path, facts.get("parameters", []), operation


def _route(
    document: dict[str, Any], method: str, path: str, parameters: list[Any], operation: dict[str, Any]
) -> Route | str:
    """The route, or why it cannot be asked."""
    # A parameter of the operation stands in for that of its path.
    by_place = {(each["in"], each["name"]): each for each in (resolved(each, document) for each in parameters)}
    if "requestBody" in operation and resolved(operation["requestBody"], document).get("required"):
        return "it wants a body, which a safe request has not"
    answers = {str(status).upper(): answer for status, answer in operation.get("responses", {}).items()}
    answers = {"default" if status == "DEFAULT" else status: answer for status, answer in answers.items()}
    if any(
        stream in (resolved(each, document).get("content") or {}) for each in answers.values() for stream in STREAMS
    ):
        return "its answer is a stream, which never ends"
    url, query, headers = path, [], {}
    for (place, name), parameter in by_place.items():
        if not parameter.get("required") and place != "path":
            continue
        known = _example(parameter, document)
        if known is None:
            return f"its {place} parameter {name} has no example, default or enum"
        text = _text(known)
        if place == "path":
            url = url.replace(f"{{{name}}}", quote(text, safe=""))
        elif place == "query":
            query += [(name, _text(each)) for each in known] if isinstance(known, list) else [(name, text)]
        elif place == "header":
            headers[name] = text
        else:
            return f"its parameter {name} is a {place}"
    if "{" in url:
        return "its path has a parameter that the document does not describe"
    return Route(
        method=method,
        name=path,
        url=f"{url}?{urlencode(query)}" if query else url,
        headers=headers,
        answers=answers,
        filled=url != path,
        document=document,
    )


def _example(parameter: dict[str, Any], document: dict[str, Any]) -> Any:
    """A value that the document itself gives, or None."""
    schema = resolved(parameter.get("schema") or {}, document)
    examples = parameter.get("examples") or {}
    named = [resolved(each, document).get("value") for each in examples.values()] if isinstance(examples, dict) else []
    given = (parameter.get("example"), *named, schema.get("example"), *(schema.get("examples") or []))
    meant = (*given, schema.get("default"), schema.get("const"), *(schema.get("enum") or []))
    return next((each for each in meant if each not in (None, "")), None)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)


def _fetched(source: str) -> bytes:
    headers = {"Authorization": f"Bearer {token}"} if (token := os.environ.get(TOKEN)) else {}
    answer = httpx.Client(trust_env=False, timeout=DOCUMENT_S_MAX).get(source, headers=headers)
    return answer.raise_for_status().content


def _file(source: str) -> bytes:
    with Path(source).open("rb") as file:
        return file.read(DOCUMENT_BYTES_MAX + 1)
