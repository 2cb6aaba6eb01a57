"""Pure functions that several agents and the connectors use: reading text and arguments, redaction, summaries."""
