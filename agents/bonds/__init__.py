"""The bond ledger: entries, events, peaks, the daily message cap (rules, section 6)."""
