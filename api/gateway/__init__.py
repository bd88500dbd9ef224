"""The gateway: commands into Kafka, and their outcomes by their receipts.

    gateway = Gateway(settings, listener)
    group.create_task(gateway.run())
    outcome = await gateway.carry(command, deadline)

Kafka and the database may come and go; what can't be told by the deadline is unknown, never wrong.
"""

from api.gateway.carrying import SET_ASIDE_FOR, Gateway

__all__ = ["SET_ASIDE_FOR", "Gateway"]
