"""The SQL of verification."""

from pathlib import Path

from engine.sql import load_queries

QUERIES = load_queries(Path(__file__).with_name("verify.sql"))
