"""The five steps (Read, Process, Checkpoint, Produce, Commit) and the takeover, over a narrow port to the broker.

`unit` holds the whole path of one batch; `port` is all it knows of a broker; `head` and `changelog` say what is
remembered; `inbox` merges an agent's topics. `endocrine.pipeline.runtime.worker` puts it on Faust.
"""
