"""PostgreSQL as far as the engine and the projector use it, in memory and on a virtual clock."""

from tests.simulation.database.server import SimulatedDatabase
from tests.simulation.database.trouble import DatabaseTrouble, NoTrouble

__all__ = ["DatabaseTrouble", "NoTrouble", "SimulatedDatabase"]
