"""Error codes: each with its status, what it means, and what to do about it."""

from typing import Final, NamedTuple

ANCHORS_AT: Final = "/docs/errors"


class ErrorCode(NamedTuple):
    """One code; a code is also the name of its anchor on the page."""

    code: str
    status: int
    meaning: str
    remedy: str


class ErrorFamily(NamedTuple):
    """Codes that belong together."""

    title: str
    codes: tuple[ErrorCode, ...]


ERROR_FAMILIES: Final = (
    ErrorFamily(
        "Requests",
        (
            ErrorCode(
                "invalid_request",
                400,
                "The body, or a field of it, is not what it has to be.",
                "Mend what the message names, and send it under another Idempotency-Key if it had one."
                " The same request will never succeed.",
            ),
            ErrorCode(
                "parameter_invalid",
                400,
                "A query parameter or the Idempotency-Key is not what it has to be, or stands"
                " twice. A cursor or the id in `after` that does not lead into this list is one"
                " too.",
                "Mend the parameter that the message names; begin a list anew without a cursor.",
            ),
            ErrorCode(
                "parameter_unknown",
                400,
                "The request has no query parameter of this name. Version 1 passes over those it"
                " does not know.",
                "Leave it out, or spell it as one of those that the message lists.",
            ),
            ErrorCode(
                "path_missing",
                404,
                "There is nothing at this path.",
                "Look at the version and the spelling of the path.",
            ),
            ErrorCode(
                "method_not_allowed",
                405,
                "The path is right, the method is not.",
                "Use one of those that the header `Allow` lists.",
            ),
            ErrorCode(
                "body_timeout",
                408,
                "The body did not arrive in time. Nothing was done.",
                "Send the request again.",
            ),
            ErrorCode(
                "body_too_large",
                413,
                "The body is larger than any request needs. Nothing was done.",
                "Send less: metadata is for a few short values.",
            ),
            ErrorCode(
                "request_refused",
                400,
                "The request is no HTTP that can be answered; its status says more.",
                "Compare it with what a well-known HTTP client sends.",
            ),
        ),
    ),
    ErrorFamily(
        "Credentials and limits",
        (
            ErrorCode(
                "token_malformed",
                401,
                "The Authorization header is missing, or is not Basic or Bearer with the Base64"
                " of id and secret.",
                "Send `Authorization: Basic` with the Base64 of the client id, a colon and the"
                " client secret.",
            ),
            ErrorCode(
                "token_invalid",
                401,
                "No key has this id and secret, or it was revoked or has expired.",
                "Take the key's present secret; if it is lost, roll the key.",
            ),
            ErrorCode(
                "scope_missing",
                403,
                "The key is good, but lacks the scope that the operation needs.",
                "Use a key with the scope that the message names.",
            ),
            ErrorCode(
                "address_forbidden",
                403,
                "The key may not be used from the address that the request came from.",
                "Send from an allowed network, or have this one added to the key.",
            ),
            ErrorCode(
                "rate_limited",
                429,
                "The key has made all the requests that it may make in this second. Nothing was"
                " done.",
                "Wait for as long as `Retry-After` says, and send again at a slower pace.",
            ),
        ),
    ),
    ErrorFamily(
        "Resources",
        (
            ErrorCode(
                "resource_missing",
                404,
                "There is nothing of this id, or it belongs to another merchant or environment.",
                "Look at the id, and whether the key is for the sandbox or for live.",
            ),
            ErrorCode(
                "email_taken",
                409,
                "Another customer of the merchant in this environment has the email.",
                "Find them with `GET /customers?email=`, and use or change that one.",
            ),
            ErrorCode(
                "customer_has_wallets",
                409,
                "A wallet of the customer is not closed yet, so they can't be deleted.",
                "Close their wallets first.",
            ),
            ErrorCode(
                "payment_provider_missing",
                409,
                "Nobody can take the payment: no provider is configured for the environment.",
                "Try top-ups in the sandbox; ask the operator for live ones.",
            ),
        ),
    ),
    ErrorFamily(
        "Rules of wallets",
        (
            ErrorCode(
                "insufficient_funds",
                409,
                "The debit is more than the balance. The message says both.",
                "Top the wallet up, or debit less, with a new reference.",
            ),
            ErrorCode(
                "wallet_frozen",
                409,
                "The wallet is frozen and gives no money. It still takes some.",
                "Unfreeze it, then debit with a new reference.",
            ),
            ErrorCode(
                "wallet_closed",
                409,
                "The wallet is closed, for ever.",
                "Use another wallet of the customer, or create one.",
            ),
            ErrorCode(
                "already_frozen",
                409,
                "The wallet is frozen already.",
                "Nothing need be done. To repeat a request safely, give it an Idempotency-Key.",
            ),
            ErrorCode(
                "not_frozen",
                409,
                "The wallet is not frozen, so it can't be unfrozen.",
                "Nothing need be done. To repeat a request safely, give it an Idempotency-Key.",
            ),
            ErrorCode(
                "expiry_in_past",
                409,
                "The credit would have expired already.",
                "Give a later `expires_at`, with a new reference.",
            ),
            ErrorCode(
                "currency_mismatch",
                409,
                "The command names a currency that the wallet is not held in.",
                "Use a wallet of that currency.",
            ),
            ErrorCode(
                "balance_overflow",
                409,
                "The balance would be more than a wallet can hold.",
                "Spend some of it first, or use another wallet.",
            ),
            ErrorCode(
                "too_many_lots",
                409,
                "The wallet holds as many lots of money with terms of their own as it may.",
                "Debit some first, or give fewer credits with an expiry or priority of their own.",
            ),
            ErrorCode(
                "wallet_exists",
                409,
                "A wallet of this id is there already. Over HTTP ids are made for you.",
                "Choose another id in the command.",
            ),
            ErrorCode(
                "wallet_not_found",
                404,
                "A command on Kafka names a wallet that is not there, or not its sender's. Over"
                " HTTP this is `resource_missing`.",
                "Look at the id, the merchant and the environment.",
            ),
        ),
    ),
    ErrorFamily(
        "Repeats",
        (
            ErrorCode(
                "reference_conflict",
                409,
                "The reference was used in this wallet with another body.",
                "Use a new reference for a new movement, and the same body to repeat one.",
            ),
            ErrorCode(
                "idempotency_conflict",
                409,
                "The Idempotency-Key was used for another request.",
                "Use a new key for a new request, and the same request to repeat one.",
            ),
        ),
    ),
    ErrorFamily(
        "Trouble on our side",
        (
            ErrorCode(
                "outcome_unknown",
                503,
                "The command was not seen to be decided in time. It may still be carried out.",
                "Send the same request again, with the same reference or Idempotency-Key: it is"
                " never carried out twice.",
            ),
            ErrorCode(
                "command_set_aside",
                500,
                "A fault kept the command from being decided, and nothing has moved. It was set"
                " aside, and may be carried out later.",
                "Tell the operator the `X-Request-Id`. A retry with the same reference or"
                " Idempotency-Key is safe.",
            ),
            ErrorCode(
                "not_shown_yet",
                503,
                "What `wait_for` names can't be read yet.",
                "Ask again with the same `wait_for` in a while.",
            ),
            ErrorCode(
                "reads_behind",
                503,
                "What the caller has written last can't be read yet, so there is no answer rather"
                " than an old one. What was asked for may have been done.",
                "Ask again after `Retry-After` seconds; keep the reference or Idempotency-Key.",
            ),
            ErrorCode(
                "unavailable",
                503,
                "The database is away or too slow.",
                "Send the same request again after `Retry-After` seconds; keep the reference or"
                " Idempotency-Key.",
            ),
            ErrorCode(
                "not_ready",
                503,
                "`/readyz` says that the process should get no requests for now.",
                "Send requests to another process, or wait.",
            ),
            ErrorCode(
                "unexpected",
                500,
                "A defect.",
                "Tell the operator the `X-Request-Id`. A retry with the same reference or"
                " Idempotency-Key is safe.",
            ),
        ),
    ),
)
"""Every code that a request can be answered with."""


def error_codes() -> dict[str, ErrorCode]:
    """All of them, by their names."""
    return {each.code: each for family in ERROR_FAMILIES for each in family.codes}
