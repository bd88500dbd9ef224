"""Fields: what a caller sent, held against what a struct asks for, and which field is wrong.

What a field must be stands where its type is: in `Meta(extra={"requirement": "a positive
integer"})`, or as `requirement` on a class of its own. `extra` may hold `accepts` too, for what no
pattern says: a function that tells whether a value of the type will do.
"""

import re
from collections.abc import Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, UnsetType
from msgspec.structs import FieldInfo

from api.errors import InvalidBodyError
from api.json_objects import printable
from schemas.commands import decode_hook

_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")
_PLAIN: Final = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}

Kind = TypeVar("Kind", bound=Struct)


class _Missing:
    """Stands where a field that is needed is not."""


class _Part(NamedTuple):
    """Some value within a body, the name it goes by, and its type."""

    name: str
    value: object
    wanted: Any


class _Field(NamedTuple):
    """A field's type, and what would be asked of it for every body anew."""

    type: Any
    is_nested: bool
    takes_null: bool


@cache
def fields_of(kind: type[Struct]) -> tuple[FieldInfo, ...]:
    """As `msgspec.structs.fields`, which reads the type's annotations anew at each call."""
    return msgspec.structs.fields(kind)


def read_fields(given: dict[str, Any], kind: type[Kind], *, strict: bool, escaped: bool) -> Kind:
    """`given` as a `kind`; raises InvalidBodyError, which names the first field that is wrong.

    null stands for an absent field wherever absence is allowed and null is not. Unknown fields are
    passed over, or refused if `strict`, at every level. `escaped`: the text may hold what only an
    escape can spell in JSON, NUL and halves of characters, which is refused.
    """
    known = _known_fields("", given, kind, strict=strict)
    try:
        read = msgspec.convert(known, kind, dec_hook=decode_hook)
    except msgspec.ValidationError:
        raise _first_fault(known, kind) or InvalidBodyError("The body is invalid.") from None
    if (escaped or _is_picky(kind)) and (fault := _first_fault(known, kind)):
        raise fault
    return read


def requirement(wanted: Any) -> str:
    """What a value of this type must be, as the end of a sentence."""
    for meta in _metas(wanted):
        if meta.extra and "requirement" in meta.extra:
            return str(meta.extra["requirement"])
    bare = _bare(wanted)
    if get_origin(bare) is Literal:
        *others, last = map(str, get_args(bare))
        return f"{', '.join(others)} or {last}" if others else last
    plain = _PLAIN.get(get_origin(bare) or bare, "an object")
    return str(getattr(bare, "requirement", plain))


def _first_fault(known: object, kind: type[Struct]) -> InvalidBodyError | None:
    for name, value, wanted in _parts("", known, kind):
        if isinstance(value, _Missing):
            return InvalidBodyError(f"{name} is required.")
        if isinstance(value, str) and _NO_TEXT.search(value):
            return InvalidBodyError(
                f"{name} must be text without NUL (U+0000) or half characters."
            )
        if not _fits(value, wanted):
            return InvalidBodyError(f"{name} must be {requirement(wanted)}.")
    return None


def _fits(value: object, wanted: Any) -> bool:
    try:
        read = msgspec.convert(value, wanted, dec_hook=decode_hook)
    except msgspec.ValidationError:
        return False
    return read is None or all(
        meta.extra["accepts"](read)
        for meta in _metas(wanted)
        if meta.extra and "accepts" in meta.extra
    )


def _parts(name: str, value: object, wanted: Any) -> Iterator[_Part]:
    """Every value within `value`, and after those that it consists of, itself."""
    bare = _bare(wanted)
    if isinstance(value, dict) and _is_struct(bare):
        yield from _parts_of_struct(name, value, bare)
    elif isinstance(value, dict) and get_origin(bare) is dict:
        key_type, value_type = get_args(bare)
        for key, each in value.items():
            yield _Part(f"each key of {name}", key, key_type)
            yield from _parts(_path(name, printable(key)), each, value_type)
    elif isinstance(value, list) and get_origin(bare) is list:
        (item_type,) = get_args(bare)
        for place, each in enumerate(value):
            yield from _parts(f"{name}[{place}]", each, item_type)
    if name:
        yield _Part(name, value, wanted)


def _parts_of_struct(name: str, given: dict[str, Any], kind: type[Struct]) -> Iterator[_Part]:
    for field in fields_of(kind):
        path = _path(name, field.encode_name)
        if field.encode_name in given:
            yield from _parts(path, given[field.encode_name], field.type)
        elif field.required:
            yield _Part(path, _Missing(), field.type)


def _known(name: str, value: object, wanted: Any, *, strict: bool) -> object:
    """`value` without the fields that nobody knows, and those that null says are absent."""
    bare = _bare(wanted)
    if isinstance(value, list) and get_origin(bare) is list:
        (item_type,) = get_args(bare)
        return [
            _known(f"{name}[{place}]", each, item_type, strict=strict)
            for place, each in enumerate(value)
        ]
    if isinstance(value, dict) and _is_struct(bare):
        return _known_fields(name, value, bare, strict=strict)
    return value


def _known_fields(
    name: str, given: dict[str, Any], kind: type[Struct], *, strict: bool
) -> dict[str, Any]:
    fields = _named_fields(kind)
    if strict and (unknown := next((key for key in given if key not in fields), None)) is not None:
        raise InvalidBodyError(
            f"{_path(name, printable(unknown))} is not a field of this request."
        )
    known = {}
    for key, field in fields.items():
        if key in given:
            value = given[key]
            if field.is_nested:
                value = _known(_path(name, key), value, field.type, strict=strict)
            if value is not None or field.takes_null:
                known[key] = value
    return known


@cache
def _named_fields(kind: type[Struct]) -> dict[str, _Field]:
    return {
        field.encode_name: _Field(field.type, _is_nested(field.type), _takes_null(field.type))
        for field in fields_of(kind)
    }


def _is_nested(wanted: Any) -> bool:
    bare = _bare(wanted)
    return get_origin(bare) is list or _is_struct(bare)


def _path(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _is_struct(bare: Any) -> bool:
    return isinstance(bare, type) and issubclass(bare, Struct)


def _options(wanted: Any) -> tuple[Any, ...]:
    if get_origin(wanted) is Annotated:
        return _options(get_args(wanted)[0])
    return get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)


def _takes_null(wanted: Any) -> bool:
    return NoneType in _options(wanted)


def _the_one(wanted: Any) -> Any:
    """What may stand beside null and absence, if it is one type."""
    present = [each for each in _options(wanted) if each not in (NoneType, UnsetType)]
    return present[0] if len(present) == 1 else wanted


def _bare(wanted: Any) -> Any:
    one = _the_one(wanted)
    return _bare(get_args(one)[0]) if get_origin(one) is Annotated else one


def _metas(wanted: Any) -> list[Meta]:
    """The outermost first."""
    found = [each for each in reversed(get_args(wanted)[1:]) if isinstance(each, Meta)]
    one = _the_one(wanted)
    return found if one is wanted else found + _metas(one)


@cache
def _is_picky(kind: type[Struct]) -> bool:
    """Whether a field of it has an `accepts`."""
    return any(
        _is_struct(_bare(field.type))
        or any("accepts" in (meta.extra or {}) for meta in _metas(field.type))
        for field in fields_of(kind)
    )
