"""The contract: commands, events, log entries, dead letters and their encodings."""
