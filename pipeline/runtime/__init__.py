"""The five steps (Read, Process, Checkpoint, Produce, Commit) and the takeover, over a narrow port to the broker.

`partition_processor` holds the whole path of one batch; `broker_port` is all it knows of a broker; `changelog_owner` is
its state; `merge_buffer` merges an agent's topics. `endocrine.pipeline.runtime.worker` puts it on Faust.
"""
