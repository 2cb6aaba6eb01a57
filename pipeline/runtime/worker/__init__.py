"""The five steps on Faust: membership, assignment and agents are Faust's, batches and the commit are ours.

`app` builds the Faust application; `transport` hands whole fetched batches to agents; `recovery` puts our takeover
where Faust recovers tables; `processor_manager` owns the units; `kafka_broker_port` is the port to Kafka; `main` runs a
process.
"""
