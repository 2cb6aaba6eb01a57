"""The OpenAI-compatible endpoint on the gateway's core: `TurnPort` over Kafka, and where it is mounted."""
