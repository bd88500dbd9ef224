"""The same tests on real Kafka and on the simulated broker."""

import pytest

from tests.conformance.broker.clusters import Cluster, RealCluster, SimulatedCluster


@pytest.fixture(params=["kafka", "simulation"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    if request.param == "simulation":
        return SimulatedCluster(seed=1)
    return RealCluster(request.getfixturevalue("kafka_bootstrap"))
