"""Ingest: chats, transcripts, traces and records from files become records of our topics. One module per format.

`source` lists the inputs of a file, folder or archive, `recognise` says what each is (`foreign`: another tool's),
`lines`, `json_items` and `tolerant` cut and parse them, a format's module reads them, `dialogue` or `transcript_turns`
pair prompts with replies, `records` makes interactions of turns, `order` puts them in event time, `run` ties them
together, `produce` sends them to Kafka.
"""
