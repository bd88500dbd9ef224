"""The embedded stack: a real Apache Kafka and a real PostgreSQL as children of this process.

stack = Stack(Path(".wallet"))
await stack.start(print)
...  # stack.kafka_bootstrap, stack.database_url
await stack.stop()
"""

from cli.stack.embedded import Stack
from cli.stack.errors import StackError
from cli.stack.process import ManagedProcess

__all__ = ["ManagedProcess", "Stack", "StackError"]
