"""What processes serve at /metrics, as Prometheus reads it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True)
class Scrape:
    """The samples of one look at one process or several."""

    samples: tuple[Sample, ...]

    def __add__(self, other: "Scrape") -> "Scrape":
        return Scrape(self.samples + other.samples)

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def labels_of(self, name: str) -> list[Mapping[str, str]]:
        """The labels of each series of this name."""
        return [sample.labels for sample in self.samples if sample.name == name]

    def value(self, name: str, **labels: object) -> float:
        """The sum of the series with these labels; 0 if there is none."""
        wanted = {label: str(value) for label, value in labels.items()}.items()
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and wanted <= sample.labels.items()
        )


def scrape_of(registry: CollectorRegistry) -> Scrape:
    """Look at a registry of this process."""
    return Scrape(tuple(parsed(generate_latest(registry).decode())))


async def scrape(ports: Iterable[int]) -> Scrape:
    """Look at the processes that serve on these ports, all of which have to answer."""
    samples: list[Sample] = []
    async with httpx.AsyncClient() as client:
        for port in ports:
            answer = await client.get(f"http://127.0.0.1:{port}/metrics")
            assert answer.status_code == 200, answer.text
            samples += parsed(answer.text)
    return Scrape(tuple(samples))


def parsed(text: str) -> list[Sample]:
    """The samples in a text as Prometheus would read it."""
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]
