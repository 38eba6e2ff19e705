"""What today's rule says of the pairs that a campaign kept: a change of the rule needs no new pairs.

    rows ─▶ each round's pairs, in their order ─▶ the looks of today's plan, time being up after the last ─▶ verdicts

The pairs are those that were measured, no more: where today's rule would have gone on, it has to say what it can. A
round is judged as its suite was, all its kernels together. One that followed a kill may hold pairs of two, the same
numbers twice: nobody can tell them apart, and it is left out.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from campaign.contenders import KERNELS
from tidegauge.bench.judging.decide import Judgement, holm, look
from tidegauge.bench.judging.plan import RESERVE, Plan

Row = dict[str, Any]
OURS = "tidegauge"


def judged_again(rows: list[Row]) -> list[Row]:
    """The rows of our verdicts with today's outcomes; what others said, and what has no pairs, is left out."""
    pairs: dict[tuple[Any, ...], dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    verdicts: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        key = (row.get("version"), row["slowdown"], row["round"])
        if row["contender"] != OURS:
            continue
        if "outcome" in row:
            verdicts[key].append(row)
        elif (pair := row["pair"])["log_ratio"] is not None:
            pairs[key][pair["benchmark"].rpartition("time_")[2]].append((pair["index"], pair["log_ratio"]))
    plan = Plan().for_suite(len(KERNELS))
    found = []
    for key, round_ in verdicts.items():
        if any(len(dict(kept)) < len(kept) for kept in pairs[key].values()):
            continue
        ratios = {kernel: [ratio for _, ratio in sorted(kept)] for kernel, kept in pairs[key].items()}
        judgements = {row["kernel"]: _judge(ratios[row["kernel"]], plan) for row in round_ if row["kernel"] in ratios}
        stands = holm(judgements, plan)
        for row in round_:
            if judgement := judgements.get(row["kernel"]):
                outcome = "slower" if row["kernel"] in stands else judgement.outcome.value.replace("_", " ")
                share = judgement.pairs / max(row["pairs"], 1)
                found.append(row | {"outcome": outcome, "pairs": judgement.pairs, "seconds": row["seconds"] * share})
    return found


def _judge(ratios: list[float], plan: Plan) -> Judgement:
    """The looks in order; after the last pair time is up."""
    for number, pairs in enumerate(plan.looks):
        if pairs > len(ratios):
            return look(ratios, plan, number, is_last=True, left=1 - RESERVE)
        judgement = look(ratios[:pairs], plan, number)
        if judgement.outcome.is_decided:
            return judgement
    return judgement
