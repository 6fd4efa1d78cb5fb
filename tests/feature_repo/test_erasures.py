"""Receipts in a real PostgreSQL: begun, entered, begun anew, finished."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from feature_repo.erasures import DATAFLOW, STORES, Erasures, Pending
from feature_repo.events import Erasure, pseudonym, to_us
from infra.settings import Settings


@pytest.fixture
def erasures(settings: Settings) -> Iterator[Erasures]:
    with closing(Erasures(settings.database_url)) as found:
        yield found


def report(erasures: Erasures, erasure: Erasure, ahead_us: int = 1) -> int:
    """The dataflow's report, and the time that it gives."""
    until_us = to_us(erasure.requested_at) + ahead_us
    erasures.done(erasure.erasure_id, DATAFLOW, until_us)
    return until_us


def only(erasures: Erasures) -> Pending:
    (pending,) = erasures.pending()
    return pending


def entered(erasures: Erasures, erasure: Erasure) -> dict[str, str | None]:
    receipt = erasures.receipt(erasure.erasure_id)
    assert receipt is not None
    return {store.store: store.detail for store in receipt.stores if store.status != "pending"}


def complete(erasures: Erasures, erasure: Erasure, until_us: int) -> None:
    for store in STORES:
        erasures.done(erasure.erasure_id, store, until_us)


def test_a_finished_receipt_has_only_the_pseudonym(erasures: Erasures, settings: Settings) -> None:
    erasure = erasures.request("anna")
    assert only(erasures) == Pending(erasure, None, frozenset())
    until_us = report(erasures, erasure)
    complete(erasures, erasure, until_us)
    assert erasures.finish(only(erasures))
    assert erasures.pending() == []
    with psycopg.connect(settings.database_url) as connection:
        (row,) = connection.execute("SELECT user_id, user_key FROM erasures").fetchall()
    assert row == (None, pseudonym("anna"))


def test_a_receipt_is_not_finished_before_every_store_is_entered(erasures: Erasures) -> None:
    erasure = erasures.request("anna")
    assert not erasures.finish(only(erasures))
    until_us = report(erasures, erasure)
    for store in STORES[1:]:
        assert not erasures.finish(only(erasures))
        erasures.done(erasure.erasure_id, store, until_us)
    assert erasures.finish(only(erasures))
    assert not erasures.finish(Pending(erasure, until_us, frozenset()))


def test_a_repeat_while_pending_begins_anew_and_older_looks_do_not_count(erasures: Erasures) -> None:
    first = erasures.request("anna")
    until_us = report(erasures, first)
    erasures.done(first.erasure_id, "online_store", until_us)
    before = only(erasures)
    second = erasures.request("anna")
    assert second.erasure_id == first.erasure_id and second.requested_at > first.requested_at
    assert only(erasures) == Pending(second, None, frozenset())
    erasures.done(first.erasure_id, DATAFLOW, until_us)
    erasures.done(first.erasure_id, "online_store", until_us)
    assert entered(erasures, second) == {} and not erasures.finish(before)
    complete(erasures, second, report(erasures, second))
    assert erasures.finish(only(erasures))


def test_after_the_end_the_same_user_may_ask_again(erasures: Erasures) -> None:
    first = erasures.request("anna")
    complete(erasures, first, report(erasures, first))
    assert erasures.finish(only(erasures))
    assert erasures.request("anna").erasure_id != first.erasure_id


def test_a_later_report_of_the_dataflow_asks_for_new_looks(erasures: Erasures) -> None:
    erasure = erasures.request("anna")
    erasures.done(erasure.erasure_id, "online_store", report(erasures, erasure, 1))
    assert only(erasures).stores == {DATAFLOW, "online_store"}
    later_us = report(erasures, erasure, 7)
    assert only(erasures) == Pending(erasure, later_us, frozenset({DATAFLOW}))
    report(erasures, erasure, 3)
    assert only(erasures).until_us == later_us


def test_entries_keep_their_first_time_and_detail(erasures: Erasures) -> None:
    erasure = erasures.request("anna")
    until_us = report(erasures, erasure)
    erasures.done(erasure.erasure_id, "caches", until_us, "none")
    first = erasures.receipt(erasure.erasure_id)
    erasures.done(erasure.erasure_id, "caches", until_us, "some")
    assert erasures.receipt(erasure.erasure_id) == first
    assert entered(erasures, erasure) == {DATAFLOW: None, "caches": "none"}


def test_unknown_erasures_have_no_receipt_and_no_entries(erasures: Erasures) -> None:
    erasures.done("nobody's", DATAFLOW, 1)
    assert erasures.receipt("nobody's") is None
    with pytest.raises(ValueError, match="store: 'online' is none of dataflow_state, online_store"):
        erasures.done("nobody's", "online", 1)


def test_withdrawn_is_gone_unless_it_was_asked_for_twice(erasures: Erasures) -> None:
    erasures.withdraw(erasures.request("anna").erasure_id)
    assert erasures.pending() == []
    erasures.request("anna")
    erasures.withdraw(erasures.request("anna").erasure_id)
    assert only(erasures).erasure.user_id == "anna"


def test_who_was_erased_since_a_moment(erasures: Erasures) -> None:
    for user in ("anna", "bert"):
        erasures.request(user)
    anna, bert = (pending.erasure for pending in erasures.pending())
    until_us = report(erasures, anna, 5)
    complete(erasures, anna, until_us)
    assert erasures.finish(erasures.pending()[0])
    now = datetime.now(UTC)
    found = erasures.erased_since(now - timedelta(hours=1))
    assert found[pseudonym("anna")] == (until_us, to_us(anna.requested_at))
    assert found[pseudonym("bert")] == (to_us(bert.requested_at), to_us(bert.requested_at))
    assert set(erasures.erased_since(now + timedelta(hours=1))) == {pseudonym("bert")}


def test_what_the_dataflow_reported_is_kept_for_one_that_starts_without_states(erasures: Erasures) -> None:
    first = erasures.request("anna")
    complete(erasures, first, report(erasures, first))
    assert erasures.finish(only(erasures))
    erasures.request("bert")
    until_us = report(erasures, erasures.request("anna"), 3)
    assert erasures.reported() == {pseudonym("anna"): until_us}
