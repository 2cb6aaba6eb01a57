"""The audit chain and the journal as evidence: `links` reads records as links, `walk` follows a chain, `keys` and
`checkpoint` sign the ends of chains, `verify` brings them together (docs/audit-chain.md)."""
