"""The ledger: every run of a durable task is a row; the broker is only a doorbell.

Read in this order: `states` (what a run can be), `models` (the row), `enqueue` and
`doorbell` (how a run begins), `claim` and `task` (how it is executed once), `backend` and
`chords` (how it ends, and what follows), `heartbeat` and `relay` (how nothing gets lost),
`lanes` and `limits` (what starts first, and how often), `due` and `schedule` (what the
clock begins), `refused` and `replay` (what did not succeed).

It uses public extension points of Celery and Django only, needs no particular broker, and
never imports `app`.
"""
