"""Redis read models, projected from the compacted topics, turns, audits, incidents and bond events.

keys.py     names of the keys
writes.py   one record -> one guarded write; pure
script.py   the one Lua script that applies a batch of writes
store.py    Redis: apply, positions, clear; holds while Redis is away
consumer.py `Projection`: from Kafka to the store
views.py    what readers use
"""

from endocrine.pipeline.views.redis.consumer import Projection, ProjectionError

__all__ = ["Projection", "ProjectionError"]
