"""Is this commit slower? Two commits, measured in pairs of processes, judged with a known error rate.

suites ─▶ processes ─▶ pairs ──▶ judging ─▶ findings, by `lane`
             │    └──▶ counts ──────▲
             └─ inside: what runs in the measured Python       why · search · changes: what slower leads to
"""
