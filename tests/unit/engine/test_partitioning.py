"""Where an identity lies is what Kafka's default partitioner says."""

import pytest
from aiokafka import partitioner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from endocrine.pipeline.core.partitioning import murmur2
from properties import examples


@given(st.binary(max_size=300))
@example(b"")
@example(b"\xff" * 7)
@settings(max_examples=examples(400))
def test_the_hash_of_any_key_is_the_one_that_the_client_library_takes(key: bytes) -> None:
    assert murmur2(key) == partitioner.murmur2(key)


@pytest.mark.parametrize(
    ("key", "signed"),
    [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536), (b"abc", 479470107)],
)
def test_the_hash_of_a_key_is_that_of_kafkas_own_test_of_its_hash(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32
