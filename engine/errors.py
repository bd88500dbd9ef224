"""What stops the engine, or a part of it.

EngineError
├── TopicsNotCreatedError   the cluster refused to create a topic
└── OutcomeMissingError     a decided command has no outcome
"""


class EngineError(Exception):
    """The root of this package's errors. `code` is stable; the text says what to do next."""

    code = "engine_error"
