"""The lane `load`: how much does the API carry?

`lane` starts the target and Locust as a process of its own; in there `plugin` binds Locust's events to a `LoadSession`,
and `arrivals` starts one task of an ordinary user class at each time that `schedule` names. Times go to `clocks`;
`phases`, `slo` and `honesty` make findings of them; `result` carries them back to the lane.
"""
