"""The AsyncAPI 3.0 document of the three topics: where records go and what a reader may rely on."""

from importlib.metadata import version
from typing import Any, Final, get_args

from msgspec.inspect import StructType, UnionType, type_info

from schemas.commands import PAYLOAD_BYTES_MAX, AnyCommand
from schemas.dead_letters import PUBLISHED_BYTES_MAX, PUBLISHED_KEY_BYTES_MAX
from schemas.events import AnyEvent

COMMANDS_TOPIC: Final = "wallet.commands"
EVENTS_TOPIC: Final = "wallet.events"
DEAD_LETTERS_TOPIC: Final = "wallet.dead-letters"
PARTITIONS: Final = 4
GROUP: Final = "wallet-engine"
TOPIC_CONFIGURATION: Final = {
    "cleanup.policy": ["delete"],
    "retention.ms": -1,
    "retention.bytes": -1,
    "max.message.bytes": 1024 * 1024,
}
"""As the engine creates the topics; the time that records are kept is the operator's to choose."""

ABOUT = """\
Commands go in on one topic; everything that came of them comes out on another, in order.

Every command has exactly one durable outcome: events, a `command_rejected`, or a dead letter. What
has been decided stays decided: the same `reference` with the same body gives the first outcome
again, for ever and for rejections too; with another body it is a `reference_conflict`.

Names, partition counts and limits are the defaults; `WALLET_*` settings change the names.
"""

COMMANDS = f"""\
Each record is one command as a JSON object of at most {PAYLOAD_BYTES_MAX} bytes.

**Key and partition.** The key is the wallet's id in UTF-8, the partition is
`(murmur2(key) & 0x7fffffff) % partitions`, as Java clients and aiokafka do by themselves.
librdkafka's clients need `partitioner=murmur2_random`. A command elsewhere is not lost: it is
forwarded to its wallet's home partition, under the header `wallet-forwarded-from` with
`<partition>:<offset>`, but its place among the wallet's commands is where it arrives. Whatever the
key is, the `wallet_id` in the value counts.

**Order.** The commands of one wallet are decided in the order of its partition. There is no order
across partitions.

**Acknowledged.** Send with `acks=all` and idempotence. A record may safely be sent again.

**Transactions.** The engine reads `read_committed`: what an aborted transaction wrote is never
executed. A transaction left open holds back everything behind it in its partitions until it ends
or the broker ends it, so give producers a short `transaction.timeout.ms`.

**The topic.** `cleanup.policy=delete`, never `compact`: compaction would remove commands. The
number of partitions is fixed for the life of the database.

**Outcome.** A command with partition p and offset o is decided once shard p's next offset is past
o. Nothing has to be listened to: ask the API with `wait_for=p:o`.
"""

EVENTS = """\
The log, entry by entry. Partition p carries shard p, and the value has the very bytes that stand
in the log and under its Merkle tree.

**At least once, in order, with repeats.** After a crash or a lost connection entries are sent
again, and a repeat may stand after later entries. `(shard, position)` names an entry for good.

**The consumer rule.** Keep the last position you took for each shard, -1 at first, and move it
together with what you made of the entry. Of each record's position:

- equal to last + 1: take it;
- at or below last: ignore it, you had it;
- above last + 1: ignore it as well and wait; the ones between will be sent, and then this one
  again. Never skip ahead.

A consumer that wants only what is new chooses the position it begins with, for example the one
that `wallet status` shows, and sets last to the one before it.

**Key.** The wallet's id. Entries of one wallet stand in one partition, by `version`.

**Headers.** CloudEvents 1.0 in Kafka's binary content mode.

**Growth.** New fields may come in any event: ignore what you do not know. New types of event may
come too: stop at one you cannot read if you keep balances, pass it if you only notify.
"""

DEAD_LETTERS = f"""\
Records that no command could be read from, or whose command the engine could not carry out.

The partition is that of the record on `{COMMANDS_TOPIC}` and the key is its key. `(shard, offset)`
says where the record stood. At least once. The key is cut to {PUBLISHED_KEY_BYTES_MAX} bytes and the payload to
{PUBLISHED_BYTES_MAX}; the row in the database keeps all of both.
"""


def _tags(union: Any) -> list[str]:
    info = type_info(union)
    if not isinstance(info, UnionType):
        raise TypeError(f"{union} is no union")
    return [str(member.tag) for member in info.types if isinstance(member, StructType)]


_TRACEPARENT: dict[str, Any] = {
    "traceparent": {
        "type": "string",
        "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
        "description": "W3C Trace Context. Of a command: the trace that it belongs to, if its sender"
        " wants it followed. Of an entry: that of the command whose outcome it is, if that was"
        " followed.",
    }
}


def _headers() -> dict[str, Any]:
    described: dict[str, dict[str, Any]] = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {
            "pattern": "^[0-9]+:[0-9]+$",
            "description": "`<shard>:<position>`",
            "examples": ["3:1041"],
        },
        "ce_source": {
            "pattern": "^/wallet-engine/shards/[0-9]+$",
            "examples": ["/wallet-engine/shards/3"],
        },
        "ce_type": {"enum": [f"wallet.{tag}" for tag in _tags(AnyEvent)]},
        "ce_time": {"format": "date-time", "description": "The entry's `occurred_at`."},
        "ce_subject": {"description": "The wallet's id."},
        "content-type": {"const": "application/json"},
    }
    return {
        "type": "object",
        "properties": {name: {"type": "string", **rest} for name, rest in described.items()}
        | _TRACEPARENT,
        "required": list(described),
    }


def _message(name: str, schema: str, key: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "contentType": "application/json",
        **more,
        "payload": {"$ref": schema},
        "bindings": {"kafka": {"key": {"type": "string", "description": key}}},
    }


def _channel(topic: str, description: str, messages: list[str]) -> dict[str, Any]:
    return {
        "address": topic,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "topic": topic,
                "partitions": PARTITIONS,
                "topicConfiguration": TOPIC_CONFIGURATION,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operation(action: str, channel: str, summary: str, **more: Any) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        **more,
    }


def _command_messages() -> dict[str, Any]:
    return {
        struct.__struct_config__.tag: _message(
            struct.__struct_config__.tag,
            f"./command.schema.json#/$defs/{struct.__name__}",
            "The wallet's id",
            summary=struct.__doc__,
            headers={"type": "object", "properties": _TRACEPARENT},
        )
        for struct in get_args(AnyCommand)
    }


def _messages() -> dict[str, Any]:
    return _command_messages() | {
        "entry": _message(
            "entry",
            "./entry.schema.json",
            "The wallet's id",
            summary="One entry of the log.",
            headers=_headers(),
        ),
        "dead_letter": _message(
            "dead_letter",
            "./dead-letter.schema.json",
            "The original record's key",
            summary="A record that could not be carried out, and why.",
        ),
    }


def _operations() -> dict[str, Any]:
    return {
        "decide": _operation(
            "receive",
            "commands",
            "Decide each command once.",
            bindings={"kafka": {"groupId": {"type": "string", "const": GROUP}}},
        ),
        "publish": _operation("send", "events", "Publish the log."),
        "set_aside": _operation("send", "dead_letters", "Publish what could not be carried out."),
    }


def document() -> dict[str, Any]:
    """The whole AsyncAPI document; payloads refer to the JSON Schemas beside it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Wallet engine",
            "version": version("wallet-engine"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "variables": {
                    "bootstrap": {
                        "default": "127.0.0.1:9092",
                        "description": "As in WALLET_KAFKA_BOOTSTRAP.",
                    }
                },
            }
        },
        "channels": {
            "commands": _channel(COMMANDS_TOPIC, COMMANDS, _tags(AnyCommand)),
            "events": _channel(EVENTS_TOPIC, EVENTS, ["entry"]),
            "dead_letters": _channel(DEAD_LETTERS_TOPIC, DEAD_LETTERS, ["dead_letter"]),
        },
        "operations": _operations(),
        "components": {"messages": _messages()},
    }
