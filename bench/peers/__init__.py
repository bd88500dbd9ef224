"""The same debits on what people would use instead, on the same PostgreSQL."""
