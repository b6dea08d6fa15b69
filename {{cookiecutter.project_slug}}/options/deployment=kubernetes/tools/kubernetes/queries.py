"""What KEDA asks the ledger about a queue: how much there is to do, and since when.

The database is asked, not the broker: what waits in the tables is in no queue of the broker,
and what was lost there is not seen. Each part reads one of the partial indexes of
`ledger/models.py`, so that the cost does not grow with the history.

Runs of a task with a rate limit do not count while they wait for their turn: more workers
would not bring it closer. Their lane has another name than the queue (`ledger/lanes.py`).
"""

from string import Template

LENGTH = Template("""\
-- runs that run or could, as far as they matter
SELECT count(*) FROM (
    SELECT 1 FROM ledger_taskrun
    WHERE state = 'pending' AND lane = '' AND queue = '$queue'
        AND run_at <= statement_timestamp()
    UNION ALL
    SELECT 1 FROM ledger_taskrun
    WHERE state = 'pending' AND lane > '' AND lane = '$queue'
        AND run_at <= statement_timestamp()
    UNION ALL
    SELECT 1 FROM ledger_taskrun WHERE state = 'queued' AND queue = '$queue'
    UNION ALL
    SELECT 1 FROM ledger_taskrun WHERE state = 'running' AND queue = '$queue'
    LIMIT $limit
) AS runs
""")

# One probe of an index for each of the ten priorities, and one for what is in no lane and for
# what has been rung; `rung_at` is in the index, and `run_at` is not.
AGE = Template("""\
-- seconds for which the oldest of those that could run has waited
SELECT coalesce(extract(epoch FROM statement_timestamp() - min(since)), 0)::float
FROM (
    (
        SELECT run_at AS since FROM ledger_taskrun
        WHERE state = 'pending' AND lane = '' AND queue = '$queue'
            AND run_at <= statement_timestamp()
        ORDER BY run_at LIMIT 1
    )
    UNION ALL
    SELECT oldest.run_at FROM generate_series(0, 9) AS level, LATERAL (
        SELECT run_at FROM ledger_taskrun
        WHERE state = 'pending' AND lane > '' AND lane = '$queue' AND priority = level
            AND run_at <= statement_timestamp()
        ORDER BY run_at LIMIT 1
    ) AS oldest
    UNION ALL
    (
        SELECT rung_at FROM ledger_taskrun WHERE state = 'queued' AND queue = '$queue'
        ORDER BY rung_at LIMIT 1
    )
) AS waiting
""")


def length(queue: str, limit: int) -> str:
    """Return the SQL for the number of runs at hand.

    Args:
        queue: its name.
        limit: above which counting would change nothing.
    """
    return LENGTH.substitute(queue=queue, limit=limit)


def age(queue: str) -> str:
    """Return the SQL for the age of the oldest run that waits for a worker, in seconds."""
    return AGE.substitute(queue=queue)
