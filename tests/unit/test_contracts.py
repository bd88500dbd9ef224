"""The files in docs/contracts: current, valid, and of one mind with the decoder."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator
from msgspec.inspect import DateTimeType, StructType, type_info
from opentelemetry.trace import NonRecordingSpan, SpanContext
from referencing import Registry, Resource

from engine.events_topic import cloud_event_headers, event_record
from engine.log import StoredEntry
from engine.settings import Settings
from engine.telemetry.tracing import TRACEPARENT, traceparent_of
from engine.topics import _new_topics
from schemas import asyncapi
from schemas.commands import AnyCommand, InvalidCommandError, decode_command
from schemas.contracts import contract_files, main
from schemas.dead_letters import DeadLetter
from schemas.entries import Entry, decode_entry

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "docs" / "contracts"
GOLDEN = ROOT / "tests" / "golden" / "events"
SCHEMAS = ["command.schema.json", "entry.schema.json", "dead-letter.schema.json"]

DEBIT: dict[str, Any] = {
    "type": "debit",
    "wallet_id": "wal_a1b2c3",
    "reference": "sms_batch_8821",
    "amount": 500,
}
CREATE: dict[str, Any] = {
    "type": "create_wallet",
    "wallet_id": "wal_a1b2c3",
    "reference": "signup_1",
    "merchant_id": "mch_1",
    "environment": "live",
    "customer_id": "cus_1",
    "currency": "GHS",
}
CREDIT = DEBIT | {"type": "credit"}

GOOD = [
    DEBIT,
    CREATE,
    CREDIT,
    DEBIT | {"type": "topup"},
    DEBIT | {"description": "d" * 1000, "currency": "GHS", "merchant_id": None},
    DEBIT | {"metadata": {"a": "x" * 500, "b": 1, "c": 1.5, "d": True, "e": None}},
    DEBIT | {"amount": 2**63 - 1, "merchant_id": "mch_1", "environment": "sandbox"},
    DEBIT | {"wallet_id": "wal_" + "a" * 40, "reference": "r" * 255},
    CREATE | {"metadata": {"plan": "growth"}},
    CREDIT | {"expires_at": "2030-01-01T00:00:00Z", "priority": 0},
    CREDIT | {"expires_at": "2030-01-01t00:00:00.123456+05:30", "priority": 1000},
    CREDIT | {"expires_at": None},
    *(
        {"type": name, "wallet_id": "wal_1", "reference": "r"}
        for name in ("freeze", "unfreeze", "close")
    ),
]

BAD = [
    [],
    "debit",
    {key: value for key, value in DEBIT.items() if key != "type"},
    *({key: value for key, value in DEBIT.items() if key != gone} for gone in DEBIT),
    *({key: value for key, value in CREATE.items() if key != gone} for gone in CREATE),
    DEBIT | {"type": "debits"},
    DEBIT | {"surprise": 1},
    DEBIT | {"expires_at": "2030-01-01T00:00:00Z"},
    *(DEBIT | {"amount": amount} for amount in (0, -1, 1.5, "5", True, None, 2**63, 10**400)),
    *(
        DEBIT | {"wallet_id": wallet}
        for wallet in ("", "wal_", "wal_a-b", "wal_a\n", "cus_a1", "wal_" + "a" * 41, "wal_ä", 7)
    ),
    DEBIT | {"reference": ""},
    DEBIT | {"reference": "r" * 256},
    DEBIT | {"reference": "a\0b"},
    DEBIT | {"description": "d" * 1001},
    DEBIT | {"description": "\0"},
    DEBIT | {"currency": "ghs"},
    DEBIT | {"currency": "GHS\n"},
    DEBIT | {"environment": "test"},
    DEBIT | {"merchant_id": "cus_1"},
    DEBIT | {"metadata": {"k" * 41: 1}},
    DEBIT | {"metadata": {"": 1}},
    DEBIT | {"metadata": {"k": "v" * 501}},
    DEBIT | {"metadata": {"k": "\0"}},
    DEBIT | {"metadata": {"k\0": 1}},
    DEBIT | {"metadata": {"k": []}},
    DEBIT | {"metadata": {"k": {}}},
    DEBIT | {"metadata": []},
    DEBIT | {"metadata": None},
    DEBIT | {"metadata": {f"k{n}": n for n in range(51)}},
    CREDIT | {"priority": -1},
    CREDIT | {"priority": 1001},
    CREDIT | {"expires_at": "2030-01-01T00:00:00"},
    CREDIT | {"expires_at": "2030-01-01"},
    CREDIT | {"expires_at": "2030-01-01T00:00:00.1234567Z"},
    CREDIT | {"expires_at": "10000-01-01T00:00:00Z"},
    CREDIT | {"expires_at": 1893456000},
    CREATE | {"amount": 1},
    CREATE | {"customer_id": "abc"},
    {"type": "freeze", "wallet_id": "wal_1", "reference": "r", "metadata": {}},
]


def _schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((CONTRACTS / name).read_text(encoding="utf-8"))
    return document


def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(_schema(name))


def _asyncapi() -> dict[str, Any]:
    text = (CONTRACTS / "asyncapi.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def test_files_are_current() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in CONTRACTS.iterdir()}
    assert written == contract_files(), "run: python -m schemas.contracts docs/contracts"


def test_command_writes_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "new")]) == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == set(contract_files())
    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path / "new" / name) for name in contract_files()
    ]


def test_command_without_a_directory_says_how_it_is_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    assert "DIRECTORY" in capsys.readouterr().err


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_obey_their_metaschema(name: str) -> None:
    Draft202012Validator.check_schema(_schema(name))


@pytest.mark.parametrize("payload", GOOD, ids=repr)
def test_schema_takes_what_the_decoder_takes(payload: Any) -> None:
    decode_command(json.dumps(payload).encode())
    _validator("command.schema.json").validate(payload)


@pytest.mark.parametrize("payload", BAD, ids=lambda payload: repr(payload)[:80])
def test_schema_refuses_what_the_decoder_refuses(payload: Any) -> None:
    with pytest.raises(InvalidCommandError):
        decode_command(json.dumps(payload).encode())
    assert not _validator("command.schema.json").is_valid(payload)


@pytest.mark.parametrize(
    "payload",
    [
        DEBIT | {"currency": "XAU"},
        DEBIT | {"amount": 500.0},
        DEBIT | {"metadata": {"k": 2**63}},
        DEBIT | {"description": "\ud800"},
    ],
    ids=["no such currency", "a fraction of nothing", "beyond 64 bits", "lone surrogate"],
)
def test_what_a_schema_cannot_say_the_decoder_still_refuses(payload: Any) -> None:
    _validator("command.schema.json").validate(payload)
    with pytest.raises(InvalidCommandError):
        decode_command(json.dumps(payload).encode())


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_entry_schema_takes_every_golden_entry(path: Path) -> None:
    entry = json.loads(path.read_bytes())
    validator = _validator("entry.schema.json")
    validator.validate(entry)
    validator.validate(entry | {"from_a_newer_release": 1})
    validator.validate(entry | {"event": entry["event"] | {"from_a_newer_release": 1}})
    assert not validator.is_valid(entry | {"position": "7"})
    assert not validator.is_valid(entry | {"event": entry["event"] | {"type": "unheard_of"}})
    for field in entry:
        assert not validator.is_valid({key: entry[key] for key in entry if key != field}), field


def test_dead_letter_schema() -> None:
    letter = {
        "shard": 1,
        "offset": 77,
        "reason": "malformed_json",
        "detail": "JSON is malformed: invalid character (byte 0)",
        "occurred_at": "2026-03-01T08:00:00Z",
        "key": None,
        "payload": "bm8=",
        "payload_bytes": 2,
    }
    assert msgspec.json.decode(json.dumps(letter), type=DeadLetter).payload == b"no"
    validator = _validator("dead-letter.schema.json")
    validator.validate(letter)
    assert not validator.is_valid(letter | {"reason": "bad_mood"})
    assert not validator.is_valid(letter | {"payload": 7})


def test_every_time_of_the_structs_is_named_so_that_its_format_is_found() -> None:
    structs = [type_info(Entry), type_info(DeadLetter)]
    fields: set[tuple[str, str]] = set()
    while structs:
        info = structs.pop()
        structs.extend(getattr(info, "types", ()))
        if isinstance(info, StructType):
            for field in info.fields:
                structs.append(field.type)
                if isinstance(field.type, DateTimeType):
                    fields.add((info.cls.__name__, field.name))
    assert ("Expired", "expires_at") in fields
    assert all(name.endswith("_at") for _, name in fields)
    for struct, name in fields:
        document = _schema("dead-letter.schema.json" if struct == "DeadLetter" else SCHEMAS[1])
        assert document["$defs"][struct]["properties"][name]["format"] == "date-time"


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in _references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for item in node.values() for found in _references(item)]


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    documents = {name: _schema(name) for name in SCHEMAS} | {"asyncapi.yaml": _asyncapi()}
    registry: Registry[Any] = Registry().with_resources(
        (name, Resource.opaque(document)) for name, document in documents.items()
    )
    references = _references(documents["asyncapi.yaml"])
    assert len(references) > 15
    for reference in references:
        assert registry.resolver("asyncapi.yaml").lookup(reference).contents


def test_asyncapi_names_the_topics_as_the_settings_do() -> None:
    settings = Settings()
    channels = _asyncapi()["channels"]
    assert {name: channel["address"] for name, channel in channels.items()} == {
        "commands": settings.commands_topic,
        "events": settings.events_topic,
        "dead_letters": settings.dead_letters_topic,
    }
    assert settings.partitions == asyncapi.PARTITIONS
    assert settings.group == asyncapi.GROUP


def test_asyncapi_configures_the_topics_as_the_engine_does() -> None:
    for topic in _new_topics(Settings()):
        told = asyncapi.TOPIC_CONFIGURATION | {"cleanup.policy": "delete"}
        assert {name: topic.topic_configs[name] for name in told} == {
            name: str(value) for name, value in told.items()
        }


def test_asyncapi_has_a_message_for_each_command_and_a_type_for_each_event() -> None:
    document = _asyncapi()
    commands = {command.__struct_config__.tag for command in AnyCommand.__args__}
    assert set(document["channels"]["commands"]["messages"]) == commands
    headers = document["components"]["messages"]["entry"]["headers"]
    events = {path.stem.partition(".")[0] for path in GOLDEN.glob("*.json")}
    assert set(headers["properties"]["ce_type"]["enum"]) == {f"wallet.{tag}" for tag in events}
    assert headers["required"] == [*headers["properties"]][:-1]
    assert [*headers["properties"]][-1] == TRACEPARENT


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_asyncapi_tells_the_headers_that_the_engine_writes(path: Path) -> None:
    data = path.read_bytes()
    entry = decode_entry(data)
    tag = entry.event.__struct_config__.tag
    stored = StoredEntry(entry.position, entry.wallet_id, tag, entry.occurred_at, data)
    headers = next(cloud_event_headers(entry.shard, [event_record(stored)]))
    written = {name: value.decode() for name, value in headers}
    told = _asyncapi()["components"]["messages"]["entry"]["headers"]
    Draft202012Validator(told).validate(written)
    assert set(written) == set(told["required"])
    span = NonRecordingSpan(SpanContext(trace_id=1, span_id=2, is_remote=False))
    name, value = traceparent_of(span)
    Draft202012Validator(told).validate(written | {name: value.decode()})
    assert set(told["properties"]) == {*written, name}
    assert written["ce_id"] == f"{entry.shard}:{entry.position}"
    assert written["ce_subject"] == entry.wallet_id


def test_asyncapi_document_has_its_parts() -> None:
    document = _asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert {operation["action"] for operation in document["operations"].values()} == {
        "receive",
        "send",
    }
    for operation in document["operations"].values():
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in document["channels"]
    for channel in document["channels"].values():
        assert channel["messages"]
        assert channel["bindings"]["kafka"]["topic"] == channel["address"]
    for message in document["components"]["messages"].values():
        assert message["payload"]["$ref"].startswith("./")
        assert message["bindings"]["kafka"]["key"]["type"] == "string"
