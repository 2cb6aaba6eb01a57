"""The spool of the Python client: order, bound, nothing lost below the bound, ids that stay."""

import sqlite3
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine_client.delivery import Delivery
from endocrine_client.protocol import Answer, Request, request
from endocrine_client.spool import OVERHEAD, Spool, TooLarge, default_path, size_of

SIZES = st.lists(st.integers(0, 400), max_size=30)
GONE, OK, REFUSED = Answer(0, {}, {}, "ConnectError"), Answer(202, {}, {}), {"type": "/problems/invalid"}


def record(number, size=0, identity="ann"):
    return Request("/v1/feedback", identity, b"x" * size, f"k{number}")


def emptied(spool):
    """All records, taken out in order."""
    found = []
    while (one := spool.first()) is not None:
        found.append(one[1])
        spool.remove(one[0])
    return found


@given(SIZES)
def test_below_the_bound_all_come_out_as_they_went_in(sizes):
    spool = Spool(None)
    records = [record(number, size) for number, size in enumerate(sizes)]
    assert [spool.append(one) for one in records] == [0] * len(records)
    assert spool.bytes == sum(map(size_of, records))
    assert emptied(spool) == records
    assert (spool.bytes, len(spool)) == (0, 0)


@given(SIZES, st.integers(500, 3000))
def test_above_the_bound_the_oldest_go_and_are_counted(sizes, most):
    spool = Spool(None, most)
    records = [record(number, size) for number, size in enumerate(sizes)]
    went = 0
    for one in records:
        if size_of(one) > most:
            with pytest.raises(TooLarge):
                spool.append(one)
            continue
        went += spool.append(one)
        assert spool.bytes <= most
    taken = [one for one in records if size_of(one) <= most]
    assert emptied(spool) == taken[went:]
    if went:  # no more went than had to
        assert sum(map(size_of, taken[went - 1 :])) > most


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("capture"), st.sampled_from("ab")),
        st.tuples(st.just("deliver"), st.sampled_from(["a", "b", None])),
        st.tuples(st.just("gateway"), st.sampled_from(["there", "away", "mute"])),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_fails_each_record_arrives_once_by_its_id_and_in_the_order_of_its_identity(steps):
    arrived, gateway = [], "there"

    def send(sent, within_s):
        if gateway != "away":
            arrived.append(sent)
        return OK if gateway == "there" else GONE  # mute: it has the record, and the answer is lost

    delivery = Delivery(Spool(None), send)
    captured = {"a": [], "b": []}
    for what, which in [*steps, ("gateway", "there"), ("deliver", None)]:
        if what == "capture":
            one = request("/v1/feedback", {"identity": which, "number": len(captured[which])})
            captured[which].append(one)
            assert delivery.keep(one)
        elif what == "deliver":
            assert delivery.deliver(5, which) is (delivery.spool.first(which) is None)
        else:
            gateway = which
    for identity, records in captured.items():
        # A retry may come again; the first arrivals, by their keys, are the captures.
        assert list(dict.fromkeys(one for one in arrived if one.identity == identity)) == records
    assert delivery.counts.delivered == delivery.counts.captured == sum(map(len, captured.values()))


def test_a_record_that_the_gateway_refuses_is_counted_and_holds_up_no_other():
    answers = iter([Answer(422, REFUSED | {"field": "rating"}, {}), OK])
    delivery = Delivery(Spool(None), lambda sent, within_s: next(answers))
    for number in range(2):
        delivery.keep(record(number))
    assert delivery.deliver(5)
    assert (delivery.counts.refused, delivery.counts.delivered) == (1, 1)
    assert delivery.counts.reasons == {"/v1/feedback: 422 invalid, field rating": 1}


@pytest.mark.parametrize("answer", [Answer(404, {}, {}), Answer(401, {"type": "/problems/unauthorized"}, {})])
def test_what_may_be_mended_outside_loses_no_record(answer):
    delivery = Delivery(Spool(None), lambda sent, within_s: answer)
    delivery.keep(record(1))
    assert not delivery.deliver(5)
    assert len(delivery.spool) == 1


class Held:
    """A lock that somebody else holds; it notes how long one would wait for it."""

    def __init__(self):
        self.waits = []

    def acquire(self, timeout):
        self.waits.append(timeout)
        return False


def test_while_the_gateway_is_away_nobody_queues_up_behind_its_timeout():
    answers = iter([OK, GONE, GONE])
    delivery = Delivery(Spool(None), lambda sent, within_s: next(answers))
    for number in range(3):
        delivery.keep(record(number))
    free, held = delivery._sending, Held()
    for expected in (True, False):  # there: wait for who sends; away: do not
        delivery._sending = held
        assert not delivery.deliver(600, "ann")
        assert (held.waits.pop() > 0) is expected
        delivery._sending = free
        delivery.deliver(600)


def test_a_process_that_dies_leaves_its_records_to_the_next(tmp_path):
    file = tmp_path / "state" / "spool.db"
    Spool(file).append(record(1))  # and no close
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert emptied(Spool(file)) == [record(1)]


def test_a_file_that_is_damaged_is_put_aside_and_one_that_cannot_be_made_is_memory(tmp_path):
    file = tmp_path / "spool.db"
    file.write_bytes(b"no database " * 1000)
    spool = Spool(file)
    spool.append(record(1))
    assert (tmp_path / "spool.db.broken").exists()
    (tmp_path / "file").write_text("")
    other = Spool(tmp_path / "file" / "spool.db")
    other.append(record(2))
    assert emptied(other) == [record(2)]


def test_a_spool_that_fails_loses_records_by_count_and_never_raises():
    delivery = Delivery(Spool(None, OVERHEAD), lambda sent, within_s: OK)
    assert not delivery.keep(record(1, 1000))
    assert not delivery.capture("/v1/feedback", lambda: request("/v1/feedback", {"identity": "a", "note": object()}))
    delivery.spool.close()
    assert not delivery.keep(record(2))
    assert not delivery.deliver(5)
    assert (delivery.counts.lost, delivery.counts.captured) == (3, 0)


def test_another_gateway_or_key_has_another_file():
    paths = {default_path("http://a", None), default_path("http://a", "k"), default_path("http://b", "k")}
    assert len(paths) == 3
    assert "k" not in default_path("http://a", "k-secret").name.removeprefix("spool-").replace("db", "")


def test_two_processes_may_share_a_file(tmp_path):
    one, other = Spool(tmp_path / "s.db"), Spool(tmp_path / "s.db")
    one.append(record(1))
    other.append(record(2))
    assert [found.key for found in emptied(one)] == ["k1", "k2"]
    assert other.first() is None
    assert isinstance(one._db, sqlite3.Connection)
