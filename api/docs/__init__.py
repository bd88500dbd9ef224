"""Pages for people: the operations of each version, and every error code."""
