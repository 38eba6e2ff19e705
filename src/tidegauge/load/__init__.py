"""The lane `load`: how much does the API carry?

`lane` starts the target and Locust as a process of its own; in there `plugin` binds Locust's events to the rooms.
`arrivals/` starts one task of an ordinary user class at each time that `times/` names, and times it from then on;
`judging/` makes findings of the times and carries them back to the lane. Beside them stand `sockets/` for what is
pushed, `server/` for the target's own figures, `knee/` for the highest rate, `openapi/` for an API that we only know by
its document, and `ui/` for Locust's web UI. `capacity` runs the lane again and again for the knee, `short` runs it once
for `check`.
"""
