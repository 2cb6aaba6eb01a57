"""Ingest: chats, transcripts and records from files become records of our topics. One module per format.

`source` opens and cuts the input, a format's module reads it, `dialogue` pairs prompts with replies, `records` makes
interactions of turns, `order` puts them in event time, `run` ties them together, `produce` sends them to Kafka.
"""
