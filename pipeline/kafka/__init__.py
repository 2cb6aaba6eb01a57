"""What Kafka's clients hand over, made safe: record batches of strangers, read whatever they hold.

`fetching` is the one module that touches private parts of aiokafka; `batches` and `codecs` parse and decompress within
bounds; `unreadable` makes the record that replaces bytes that nobody can parse.
"""
