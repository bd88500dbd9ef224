"""Fields of customers: what a caller may say about one."""

from typing import Annotated, ClassVar, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from api.customers.contacts import (
    EMAIL_CHARACTERS_MAX,
    PHONE_CHARACTERS_MAX,
    is_email,
    is_phone,
)
from schemas.commands import Metadata
from schemas.money import Currency

NAME_CHARACTERS_MAX: Final = 255

Email = Annotated[
    str,
    Meta(
        max_length=EMAIL_CHARACTERS_MAX,
        extra={"requirement": "a valid email address", "accepts": is_email},
        extra_json_schema={"format": "email"},
        examples=["ama@example.com"],
    ),
]
Name = Annotated[
    str,
    Meta(
        max_length=NAME_CHARACTERS_MAX,
        extra={"requirement": f"a string of at most {NAME_CHARACTERS_MAX} characters"},
        examples=["Ama Owusu"],
    ),
]
Phone = Annotated[
    str,
    Meta(
        max_length=PHONE_CHARACTERS_MAX,
        extra={
            "requirement": "a phone number in E.164 format, as +233241234567",
            "accepts": is_phone,
        },
        description="In E.164: a plus sign, the country's code and the number, digits only.",
        examples=["+233241234567"],
    ),
]


class NewCustomerBody(Struct, frozen=True, kw_only=True):
    """What a new customer takes; `currency` is the merchant's if none is given."""

    email: Email
    name: Name | None = None
    phone: Phone | None = None
    currency: Currency | None = None
    metadata: Metadata = {}


class CustomerChangesBody(Struct, frozen=True, kw_only=True):
    """What is to be changed; null clears a field, and makes `currency` the merchant's again."""

    never_cleared: ClassVar = ("email",)

    email: Email | UnsetType | None = UNSET
    name: Name | UnsetType | None = UNSET
    phone: Phone | UnsetType | None = UNSET
    currency: Currency | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
