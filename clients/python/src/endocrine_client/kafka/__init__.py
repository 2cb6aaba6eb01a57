"""The client without a gateway: the same methods over Kafka's records. Needs `endocrine-client[kafka]`.

    async with Endocrine(transport=KafkaTransport("127.0.0.1:9092")) as endocrine:
        async with endocrine.turn(identity="ann", prompt=text) as turn: ...

What it cannot do that the gateway does: reads, and writes that need one (`Refused`, reason `needs_gateway`); aliases of
identities; check records before they are produced; the policy's own strict defaults; and, without the deployment's seal
key, prove that a decision is the gate's: then Kafka's ACLs alone say who may write `tool-decisions` and `modulations`.
"""

from endocrine_client.kafka.transport import DoorTransport, KafkaTransport

__all__ = ["DoorTransport", "KafkaTransport"]
