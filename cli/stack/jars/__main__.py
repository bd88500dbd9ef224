"""Fetch and check the broker's jars: python -m cli.stack.jars."""

import sys

from cli.stack.errors import StackError
from cli.stack.jars import ensure_jars, kafka_version


def _say(message: str) -> None:
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()


try:
    jars = ensure_jars(_say)
except StackError as error:
    sys.exit(str(error))
_say(f"Apache Kafka {kafka_version()} is ready: {len(jars)} jars, each as locked")
