"""Topics and tables as files for other tools: `columns` from the catalogue's schemas, `rows` from records, `writers`
for each format, `run` streams one into the other (docs/export.md)."""
