"""Contacts: how customers are reached, and whether it could work."""

from typing import Final

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneNumberFormat

EMAIL_CHARACTERS_MAX: Final = 254
PHONE_CHARACTERS_MAX: Final = 16


def email_key(email: str) -> str:
    """What all spellings of one address have in common; raises ValueError if it is no address.

    Nobody is asked whether it exists, so that domains for tests will do.
    """
    valid = validate_email(email, check_deliverability=False, test_environment=True)
    return valid.normalized.casefold()


def is_email(email: str) -> bool:
    """Whether it is an address, as far as can be seen."""
    try:
        email_key(email)
    except EmailNotValidError:
        return False
    return True


def is_phone(phone: str) -> bool:
    """Whether it is written in E.164 and has as many digits as numbers of its country."""
    try:
        number = phonenumbers.parse(phone)
    except NumberParseException:
        return False
    written = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return written == phone and phonenumbers.is_possible_number(number)
