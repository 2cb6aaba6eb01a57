"""`endocrine gateway`: Endocrine over HTTP. A thin door: it validates, produces records, awaits what is derived.

server.py      the process: listen, serve, stop
app.py         the composition; row.py one row of the table; routes/ the rows
guard.py       request ids and the bound on headers; protocol.py the same before headers are whole
bodies.py      JSON and JSON lines, bounded
callers.py     API keys (keys.py), rates (rates.py), identities
idempotency.py retries are one record; lookback.py finds their answers in Kafka
awaiting.py    one producer and one consumer without a group; watch.py who waits for what
answers.py     waiting for a derived record; records.py making one of a request
events.py      `/v1/events`; sse.py the format
problems.py    errors (RFC 9457); openapi.py the document
content.py     what needs the scope `content`; places.py records that views point at
"""
