"""Proving decisions from topics alone: `logs` reads them, `verify` re-runs the agents in journal order and compares."""
