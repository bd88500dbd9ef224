"""Errors of the audit side.

AuditError
├── KeyUnreadableError        no key, or not of the kind that is needed
├── KeyExistsError            a new key would take the place of another
├── NoteError                 no signed note
│   ├── NoteMalformedError        its bytes are not those of one
│   └── SignatureError            it is not signed by the key, or not with these words
├── CheckpointError           no checkpoint could be made, or it can't be used
│   ├── CheckpointMalformedError  a file or a note that is none
│   └── HistoryChangedError       the log is not the one that was signed before
├── CheckpointRunningError    another one is being made in this database
├── BundleError               there is nothing to bundle, or no place to put it
│   └── BundleTooLargeError       it is more than one file can hold
└── ExplanationError          there is nothing to explain
    └── ChainBrokenError          an entry is missing that the explanation needs
"""


class AuditError(Exception):
    """Every error of the audit side; `code` is stable, the text says what to do next."""

    code = "audit_error"


class KeyUnreadableError(AuditError):
    """No key, or not of the kind that is needed."""

    code = "key_unreadable"


class KeyExistsError(AuditError):
    """A new key would take the place of another."""

    code = "key_exists"


class NoteError(AuditError):
    """No signed note."""

    code = "note"


class NoteMalformedError(NoteError):
    """Its bytes are not those of a signed note."""

    code = "note_malformed"


class SignatureError(NoteError):
    """It is not signed by the key, or not with these words."""

    code = "signature_wrong"


class CheckpointError(AuditError):
    """No checkpoint could be made, or it can't be used."""

    code = "checkpoint"


class CheckpointMalformedError(CheckpointError):
    """A file or a note that is no checkpoint."""

    code = "checkpoint_malformed"


class HistoryChangedError(CheckpointError):
    """The log is not the one that was signed before: nothing is signed."""

    code = "history_changed"


class CheckpointRunningError(AuditError):
    """Another one is being made in this database."""

    code = "checkpoint_running"


class BundleError(AuditError):
    """There is nothing to bundle, or no place to put it."""

    code = "bundle"


class BundleTooLargeError(BundleError):
    """It is more than one file can hold."""

    code = "bundle_too_large"


class ExplanationError(AuditError):
    """There is nothing to explain."""

    code = "explanation"


class ChainBrokenError(ExplanationError):
    """An entry is missing that the explanation needs."""

    code = "chain_broken"
