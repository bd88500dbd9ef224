"""The SQL of the trees of wallets."""

from pathlib import Path

from engine.sql import load_queries

QUERIES = load_queries(Path(__file__).with_name("trees.sql"))
