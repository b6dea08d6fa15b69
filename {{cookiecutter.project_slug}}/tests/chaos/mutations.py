"""The safeguards of the ledger, and how each is taken away: one small patch per row.

A row whose text is gone from the file fails loudly: whoever changes a safeguard changes
its row. `tests/chaos/mutants.py` applies them one at a time.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """One safeguard that is missing.

    Attributes:
        safeguard: what is taken away, in words.
        file: where.
        old: the text that is replaced; it must be there exactly once.
        new: what comes in its place.
        test: the test that must fail then, as `file::name` within `tests/chaos`.
    """

    safeguard: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = [
    Mutation(
        "the row is stored in the caller's transaction, the message sent after it",
        "ledger/doorbell.py",
        "        transaction.on_commit(partial(_ring_undisturbed, calls))",
        "        _ring_undisturbed(calls)",
        "test_ledger_enqueue.py::test_rollback_leaves_nothing",
    ),
    Mutation(
        "a unique key is held by one active run",
        "ledger/call.py",
        "        unique_key=unique_key,\n",
        "        unique_key=None,\n",
        "test_ledger_enqueue.py::test_fifty_callers_with_one_unique_key_share_one_run",
    ),
    Mutation(
        "calls that the broker did not take are parked",
        "ledger/doorbell.py",
        "            park(calls[taken:])\n",
        "            pass\n",
        "test_ledger_broker.py"
        "::test_broker_down_at_enqueue_costs_milliseconds_and_loses_nothing",
    ),
    Mutation(
        "the circuit breaker",
        "ledger/doorbell.py",
        "    return time.monotonic() < _down_until.get(_broker(), 0.0)",
        "    return False",
        "test_ledger_network.py"
        "::test_black_hole_costs_a_caller_seconds_once_and_loses_nothing",
    ),
    Mutation(
        "the relay rings for what is due",
        "ledger/relay.py",
        "    if todo.due and not ring_due():\n        return False\n",
        "",
        "test_ledger_broker.py"
        "::test_broker_down_at_enqueue_costs_milliseconds_and_loses_nothing",
    ),
    Mutation(
        "the relay rings again for lost messages",
        "ledger/relay.py",
        "    return _search_lost() if todo.unclaimed else True",
        "    return True",
        "test_ledger_broker.py::test_flushall_with_hundreds_queued_loses_nothing",
    ),
    Mutation(
        "a message is lost only if its queue is empty",
        "ledger/relay.py",
        "            empty = doorbell.messages_in(queue) == 0",
        "            empty = True",
        "test_ledger_broker.py::test_backlog_is_not_taken_for_lost",
    ),
    Mutation(
        "the claim compares the state before it sets it",
        "ledger/claim.py",
        "AND (state = 'queued' OR state = 'pending' AND crashes < %s)",
        "AND (state IN ('queued', 'running') OR state = 'pending' AND crashes < %s)",
        "test_ledger_broker.py::test_same_message_twenty_times_at_once_is_one_run",
    ),
    Mutation(
        "the fence: an end names its token and its attempt",
        "ledger/claim.py",
        '_FENCE = """id = %s AND token = %s AND attempts = %s',
        '_FENCE = """id = %s AND %s <> \'\' AND %s > 0',
        "test_ledger_processes.py"
        "::test_worker_stopped_past_its_lease_comes_back_too_late",
    ),
    Mutation(
        "the heartbeat renews leases",
        "ledger/worker.py",
        "heartbeat.start(_stop, sender), ",
        "",
        "test_ledger_processes.py::test_long_task_runs_once_beyond_many_leases",
    ),
    Mutation(
        "the relay takes back runs whose lease is over",
        "ledger/relay.py",
        "        if not ring_lapsed():\n            return False\n",
        "",
        "test_ledger_processes.py"
        "::test_worker_killed_mid_task_is_rerun_within_the_lease",
    ),
    Mutation(
        "a dead pool process frees its run at once",
        "ledger/request.py",
        "                self._quietly(self._free, error)\n",
        "                self._quietly(self.acknowledge)\n",
        "test_ledger_processes.py::test_killed_pool_process_frees_its_run_at_once",
    ),
    Mutation(
        "runs that were started too often are buried",
        "ledger/relay.py",
        "        unstarted.bury_poisoned()\n",
        "",
        "test_ledger_processes.py"
        "::test_task_that_kills_its_process_is_dead_after_three_starts",
    ),
    Mutation(
        "suspects are started apart from the others",
        "ledger/claim.py",
        "SUSPECT_CRASHES = 2",
        "SUSPECT_CRASHES = 99",
        "test_ledger_processes.py"
        "::test_task_that_kills_its_worker_is_dead_and_its_neighbours_are_not",
    ),
    Mutation(
        "atomic=True: effects and end commit together",
        "ledger/task.py",
        "            if self.atomic:\n                held.open_transaction()\n",
        "",
        "test_ledger_processes.py"
        "::test_all_workers_killed_then_started_run_everything_once",
    ),
    Mutation(
        "an end and what follows from it commit together",
        "ledger/task.py",
        "        if followed:\n            held.open_transaction()\n",
        "",
        "test_ledger_chords.py"
        "::test_chain_whose_worker_is_killed_between_two_links_goes_on",
    ),
    Mutation(
        "a member of a chord is counted in the transaction that ends it",
        "ledger/backend.py",
        "            if request.chord:\n                self.on_chord_part_return(",
        "            held.commit()\n"
        "            if request.chord:\n                self.on_chord_part_return(",
        "test_ledger_chords.py"
        "::test_chord_whose_member_is_killed_before_it_is_counted_starts_its_body_once",
    ),
    Mutation(
        "the body of a chord waits for all members",
        "ledger/chords.py",
        "            if size is None or done < size:",
        "            if size is None:",
        "test_ledger_chords.py::test_chord_of_a_thousand_starts_its_body_once",
    ),
    Mutation(
        "a run whose connection was cut is not blamed on the task",
        "ledger/backend.py",
        "(held.completing or held.cut)",
        "held.completing",
        "test_ledger_database.py::test_run_whose_connection_is_cut_runs_again",
    ),
    Mutation(
        "what a stopping worker has not finished is ended in its grace",
        "ledger/worker.py",
        "    shutdown.start(release=_stop_threads)\n",
        "",
        "test_ledger_deploys.py"
        "::test_task_longer_than_the_grace_goes_on_elsewhere_at_once",
    ),
    Mutation(
        "a stopping worker releases its leases",
        "ledger/worker.py",
        "    lease.release_all()\n",
        "",
        "test_ledger_deploys.py::test_worker_whose_broker_is_silent_stops_in_time",
    ),
    Mutation(
        "a deploy is not counted as a crash",
        "ledger/lease.py",
        "crashes = CASE WHEN crashes > 0 THEN crashes - 1 ELSE 0 END",
        "crashes = crashes",
        "test_ledger_deploys.py"
        "::test_task_that_meets_a_deploy_on_every_attempt_is_not_dead",
    ),
    Mutation(
        "a worker that does not come to an end ends itself",
        "ledger/shutdown.py",
        "    os._exit(1)\n",
        "",
        "test_ledger_deploys.py::test_worker_whose_broker_is_silent_stops_in_time",
    ),
    Mutation(
        "a worker's events do not wait for the broker",
        "ledger/events.py",
        ' | {"retry": False}',
        "",
        "test_health.py::test_main_loop_goes_round_while_the_broker_is_silent",
    ),
    Mutation(
        "what a broken connection still holds can be closed",
        "ledger/consumer.py",
        "            transport.client = connection\n",
        "",
        "test_ledger_broker.py::test_redis_that_dies_connection_by_connection"
        "_does_not_end_a_busy_worker",
    ),
]
