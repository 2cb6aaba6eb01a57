"""Breakers of connectors are known by the replies in which they refuse."""

from endocrine.pipeline.views.status.connector_breakers import MODEL, ConnectorBreaker, Reply, connector_breakers

OPEN = {"status": "error", "error": "breaker_open: the provider failed again and again; it is left alone for 15 s"}
FAILED = {"status": "error", "error": "http_500: the provider answered 500"}
FINE = {"status": "ok", "error": None}


def replies(*values, partition=0, begin=100):
    return [Reply("model-replies", partition, begin + number, value) for number, value in enumerate(values)]


def results(tool, *outputs):
    found = [{"tool": tool, "output": output} for output in outputs]
    return [Reply("tool-results", 0, 200 + number, value) for number, value in enumerate(found)]


def test_a_breaker_that_refused_nothing_is_not_named():
    assert connector_breakers([]) == []
    assert connector_breakers(replies(FINE, FAILED, FAILED)) == []
    assert connector_breakers(results("search", "degraded", {"degraded": "yes"}, [True], None)) == []


def test_the_last_reply_says_whether_it_is_open():
    assert connector_breakers(replies(FINE, OPEN, OPEN)) == [ConnectorBreaker(MODEL, "open", 2, 3, 102)]
    assert connector_breakers(replies(OPEN, OPEN, FINE)) == [ConnectorBreaker(MODEL, "closed", 2, 3, 101)]
    # A try that failed was let through.
    assert connector_breakers(replies(OPEN, FAILED))[0].state == "closed"


def test_one_connector_that_refuses_is_not_hidden_by_another_that_answers():
    found = connector_breakers([*replies(OPEN), *replies(FINE, FINE, partition=1)])
    assert found == [ConnectorBreaker(MODEL, "open", 1, 3, 100)]


def test_each_tool_has_its_own_and_open_ones_come_first():
    both = [*replies(OPEN, FINE), *results("search", "found", {"degraded": True}), *results("mail", "sent")]
    assert [(one.name, one.state) for one in connector_breakers(both)] == [("search", "open"), (MODEL, "closed")]
