"""Dead letters: `letters` reads them and what was done with them, `select` filters, `show` tells one without secrets,
`act` sends them again or sets them aside (docs/dead-letters.md)."""
