"""Every consumer is made in one place: read_committed, and tolerant of what strangers write."""

import ast
from pathlib import Path

from endocrine import pipeline
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.fetching import Bound
from endocrine.pipeline.process.settings import Settings

ROOT = Path(pipeline.__file__).parent


def test_no_other_module_makes_a_consumer():
    made = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for named in ([node.func] if isinstance(node, ast.Call) else getattr(node, "bases", ()))
        if ast.unparse(named).endswith("AIOKafkaConsumer")
    }
    assert made == {"kafka/clients.py"}


async def test_each_is_read_committed_and_bounded():
    settings = Settings(max_batch_bytes=5 << 20)
    for consumer in (clients.consumer(settings), clients.reader(settings)):
        assert consumer._isolation_level == "read_committed"
        assert isinstance(consumer._key_deserializer, Bound)
        assert consumer._key_deserializer.max_batch_bytes == 5 << 20
        assert consumer._enable_auto_commit is False
