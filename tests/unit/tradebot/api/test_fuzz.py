"""Whatever a client sends, the answer is one that the OpenAPI document promises, and never a 500."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.domain.alerts import Severity

Run = Any

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=[]), max_size=20),
    st.sampled_from(["SPY", "vertical", "iron_condor", "s-1"]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
objects = st.dictionaries(
    st.sampled_from(["symbol", "kind", "quantity", "strategy_id", "reason"]) | st.text(max_size=5), values, max_size=5
)
near_misses = st.fixed_dictionaries(
    {"symbol": st.sampled_from(["SPY", "spy", ""]), "kind": st.sampled_from(["vertical", "x"]), "quantity": scalars}
)
bodies = st.one_of(
    (objects | near_misses | values).map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=50),
    st.sampled_from([b"[" * 50_000, b"1" * 10_000, b'{"quantity": 1e999}', b"NaN", b'"\\ud800"', b'{"\\ud800": 1}']),
)
posts = st.tuples(
    st.just("POST"),
    st.sampled_from(["/api/workflows/entry", "/api/workflows/exit", "/api/workflows/entry/dry-run"]),
    st.just(""),
    bodies,
    st.binary(max_size=8).filter(lambda key: b"\n" not in key and b"\r" not in key),
)
segments = st.text(max_size=80).map(lambda text: quote(text, safe="")).filter(lambda text: text not in {".", ".."})
reads = st.tuples(
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(
        [
            "/api/workflows/{workflow_id}",
            "/api/strategies/{strategy_id}",
            "/api/alerts/{alert_id}/resolve",
            "/api/workflows",
            "/api/alerts",
            "/api/orders",
            "/api/limits",
        ]
    ),
    segments,
    st.just(b""),
    st.just(b""),
)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(requests=st.lists(posts | reads, min_size=1, max_size=10))
def test_no_request_is_answered_with_a_500(run: Run, requests: list[tuple[str, str, str, bytes, bytes]]) -> None:
    """Bodies, keys, ids and queries without sense: every status is documented and every error has the one shape."""

    async def scenario(world: Any) -> None:
        world.bot.alerts.raise_(Severity.INFO, "fuzz", "one")
        paths = world.app.openapi()["paths"]
        for method, path, piece, body, key in requests:
            target = (
                path.replace(path[path.find("{") : path.find("}") + 1], piece)
                if "{" in path
                else f"{path}?limit={piece}&state={piece}&open={piece}&symbol={piece}"
            )
            headers = [(b"content-type", b"application/json")] + ([(b"idempotency-key", key)] if key else [])
            answer = await world.http.request(method, target, content=body, headers=headers)
            promised = {int(status) for status in paths[path].get(method.lower(), {}).get("responses", {})}
            assert answer.status_code in promised | {404, 405}, (method, target, body, answer.text)
            if answer.status_code >= 400:
                assert answer.json()["error"]["code"]

    run(scenario)
