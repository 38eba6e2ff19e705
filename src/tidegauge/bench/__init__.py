"""Is this commit slower? Two commits, measured in pairs of fresh processes, judged with a known error rate.

`plan` says how sure to be and when to look, `decide` says what the pairs allow to be said, and `selfproof` says
whether this machine can be believed at all. These three are pure: numbers in, words out.
"""
