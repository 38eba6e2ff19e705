"""From an error to an answer: one table, one shape.

Every answer that is not a success has the body `{"error": {"code", "message", "limit"?}}`. `code` is stable and for
programs, `message` is a sentence for a person, `limit` names the gate that refused.
"""

from __future__ import annotations

import math

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tradebot.domain.errors import (
    BreakerOpen,
    IllegalTransition,
    KeyReused,
    NotFound,
    PricingError,
    QueueFull,
    Refused,
    StoreError,
    StrategyError,
    TradebotError,
    VenueError,
    VenueTimeout,
)

log = structlog.get_logger(__name__)

RETRY_SOON_S = 1
PROBLEMS_MAX = 5  # of one bad request that are spelled out


class NotReady(TradebotError):
    """Nothing may change what the bot holds: it is not yet known, or its venue is out of reach."""

    def __init__(self, *, connected: bool) -> None:
        why = "it still recovers" if connected else "its venue cannot be reached"
        super().__init__(f"the bot is not ready: {why}", remedy="Wait until /health/ready answers 200")


# The most special class on an error's line of descent decides.
ANSWERS: dict[type[Exception], tuple[int, str]] = {
    NotReady: (503, "not_ready"),
    NotFound: (404, "not_found"),
    KeyReused: (409, "key_reused"),
    IllegalTransition: (409, "illegal_transition"),
    Refused: (409, "refused"),
    BreakerOpen: (503, "breaker_open"),
    QueueFull: (503, "busy"),
    StoreError: (503, "store_error"),
    VenueError: (502, "venue_error"),
    VenueTimeout: (504, "venue_timeout"),
    StrategyError: (422, "no_strategy"),
    PricingError: (422, "no_price"),
    TradebotError: (500, "internal"),
}

HTTP_CODES = {
    400: "bad_request",
    401: "unauthorised",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
}


def error_response(
    status: int, code: str, message: str, *, limit: str = "", headers: dict[str, str] | None = None
) -> Response:
    error = {"code": code, "message": message}
    if limit:
        error["limit"] = limit
    return Response(
        msgspec.json.encode({"error": error}), status_code=status, headers=headers, media_type="application/json"
    )


def install(app: FastAPI) -> None:
    app.add_exception_handler(TradebotError, _domain_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


async def _domain_error(_request: Request, error: Exception) -> Response:
    status, code = next(ANSWERS[each] for each in type(error).__mro__ if each in ANSWERS)
    headers = {"Retry-After": str(_retry_after_s(error))} if status == 503 else None
    limit = error.limit if isinstance(error, Refused) else ""
    return error_response(status, code, str(error), limit=limit, headers=headers)


def _retry_after_s(error: Exception) -> int:
    return max(RETRY_SOON_S, math.ceil(error.retry_after_s)) if isinstance(error, BreakerOpen) else RETRY_SOON_S


async def _invalid(_request: Request, error: Exception) -> Response:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    # The input itself is left out: it may be huge, and it is the client's.
    told = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in problems[:PROBLEMS_MAX]]
    return error_response(422, "invalid", "; ".join(told))


async def _http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return await _unexpected(_request, error)
    headers = dict(error.headers) if error.headers else None
    return error_response(
        error.status_code, HTTP_CODES.get(error.status_code, "http_error"), str(error.detail), headers=headers
    )


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request_failed", method=request.method, path=request.url.path, error=repr(error))
    return error_response(500, "internal", "the bot failed to answer; its log says why")
