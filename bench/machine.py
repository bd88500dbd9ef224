"""What a benchmark ran on: the machine, the versions, and the settings in force."""

import os
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import asyncpg
import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from bench.errors import BenchError
from cli.stack import Stack
from cli.stack.jars import kafka_version
from engine.settings import Settings

_PACKAGES = (
    "wallet-engine",
    "aiokafka",
    "asyncpg",
    "faststream",
    "granian",
    "litestar",
    "msgspec",
    "uvloop",
)
_DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
_POSTGRES_SETTINGS = (
    *_DURABLE,
    "wal_sync_method",
    "wal_level",
    "wal_compression",
    "commit_delay",
    "max_wal_size",
    "shared_buffers",
    "jit",
)
_KAFKA_SETTINGS = (
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "min.insync.replicas",
    "offsets.topic.replication.factor",
    "num.io.threads",
    "num.network.threads",
    "compression.type",
)
_SERVICE_SETTINGS = (
    "partitions",
    "batch_commands_max",
    "queue_commands_max",
    "unpublished_entries_max",
    "cached_wallets_max",
    "snapshot_every_versions",
)


def describe_machine() -> dict[str, Any]:
    """Processor, memory, kernel and the disk that temporary directories are on."""
    memory = psutil.virtual_memory()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory.total / 2**30, 1),
        "kernel": platform.release(),
        "disk": _disk(Path(gettempdir())),
        "load_before": os.getloadavg(),
    }


def _disk(directory: Path) -> str:
    """The device and file system of a directory, and what is free there."""
    free_gib = shutil.disk_usage(directory).free / 2**30
    mounted = [
        part for part in psutil.disk_partitions() if directory.is_relative_to(part.mountpoint)
    ]
    place = max(mounted, key=lambda part: len(part.mountpoint), default=None)
    named = "" if place is None else f"{place.device} {place.fstype}, "
    return f"{named}{free_gib:.0f} GiB free"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


async def describe_versions(stack: Stack) -> dict[str, str]:
    """Of Python, of what is installed, and of the two servers."""
    connection = await asyncpg.connect(stack.database_url)
    try:
        postgres = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return {
        "python": platform.python_version(),
        "postgresql": postgres,
        "kafka": kafka_version(),
        **{package: version(package) for package in _PACKAGES},
    }


async def durable_settings(stack: Stack) -> dict[str, dict[str, str]]:
    """The servers' settings; raises BenchError if what is acknowledged could be lost."""
    connection = await asyncpg.connect(stack.database_url)
    try:
        postgres = {name: await connection.fetchval(f"SHOW {name}") for name in _POSTGRES_SETTINGS}
    finally:
        await connection.close()
    for name in _DURABLE:
        if postgres[name] != "on":
            raise BenchError(f"PostgreSQL runs with {name} = {postgres[name]}: it has to be on")
    return {
        "postgresql": postgres,
        "kafka": await _kafka_settings(stack),
        "service": {name: str(getattr(Settings(), name)) for name in _SERVICE_SETTINGS},
    }


async def _kafka_settings(stack: Stack) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    try:
        await admin.start()
        broker = (await admin.describe_cluster())["controller_id"]
        (response,) = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.BROKER, str(broker))]
        )
    finally:
        await admin.close()
    (resource,) = response.to_object()["resources"]
    found = {entry["config_names"]: entry["config_value"] for entry in resource["config_entries"]}
    return {name: found[name] for name in _KAFKA_SETTINGS if name in found}
