"""The operations on top-ups."""

from http import HTTPStatus
from typing import Final

from api.calls import Operation
from api.parameters import ListQuery
from api.topups.creating import TopupBody, create_topup
from api.topups.reading import list_topups
from schemas.resources import Topup

TOPUP_OPERATIONS: Final = (
    Operation(
        name="createTopup",
        summary="Create a top-up checkout for the customer",
        method="POST",
        path="/wallets/{wallet_id}/topups",
        scope="credits:write",
        handle=create_topup,
        answer=Topup,
        status=HTTPStatus.CREATED,
        body=TopupBody,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Operation(
        name="listTopups",
        summary="List a wallet's top-ups",
        method="GET",
        path="/wallets/{wallet_id}/topups",
        scope="credits:read",
        handle=list_topups,
        answer=Topup,
        listed=True,
        query=ListQuery,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
