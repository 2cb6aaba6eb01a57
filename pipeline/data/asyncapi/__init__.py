"""What the catalogue tells other programs: JSON Schemas of every topic, and an AsyncAPI 3 document."""

from endocrine.pipeline.data.asyncapi.files import export

__all__ = ["export"]
