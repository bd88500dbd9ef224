"""Draining: the time in which a process that is to end sends its callers elsewhere."""

from dataclasses import dataclass


@dataclass
class Draining:
    """Once `begun`, the process is not ready, and every answer is the last of its connection.

    A load balancer then finds it not ready, and callers with open connections come anew, while
    whatever still arrives is answered.
    """

    begun: bool = False
