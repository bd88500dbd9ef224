"""Benchmarks on the embedded stack, with the settings that users run."""
