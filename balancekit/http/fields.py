"""Reading the fields of a response: what each kind of field may hold, and the path of the one that is wrong."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast

from balancekit.money.currencies import (
    MAX_CODE_LENGTH,
    AssetType,
    check_chain,
    check_code,
    check_label,
    normalize_code,
)
from balancekit.money.exact_json import (
    ShapeError,
    decode_counted,
    is_text,
    json_type_name,
    refuse_duplicates,
)

MAX_BALANCES: Final = 5_000
"""How many entries a list of a response may have, and so how many balances an account."""

Entries = Sequence[Mapping[str, Any]]
"""The entries of a decoded list. Each should be an object, but that is not checked yet."""

# Texts, which `re` compiles when a response first has such a field: that saves time at import.
_WORDS_OF_FAILURE: Final = r"(?i)false|error|fail(?:ed|ure)?"
_STATUS_OF_FAILURE: Final = rf"{_WORDS_OF_FAILURE}|[45][0-9]{{2}}"
_OUTCOMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("success", "ok"), r"(?i)false|0"),
        **dict.fromkeys(("status", "code", "statusCode", "status_code"), _STATUS_OF_FAILURE),
        "result": _WORDS_OF_FAILURE,
    }
)
"""The fields that say how a request ended, each with what it says if that is an error.

A code of the provider's own is not among it: many an API has one for its successes as well.
"""

_ERROR_CODES: Final = ("error_code", "errorCode")
_ERRORS: Final = ("error", "errors", *_ERROR_CODES)
_ERROR_MESSAGES: Final = ("error_message", "errorMessage")
_NO_ERROR: Final = r"(?i)0*|200|-|false|n/?a|no(?:ne|[ _]errors?)\.?|null|ok|success(?:ful(?:ly)?)?"
"""What such a field says where there is no error, besides null and what is empty."""

_MAX_CACHED: Final = 2048

_MAX_USUAL: Final = 36
"""How long a UUID is."""

_Draft = TypeVar("_Draft")
_Value = TypeVar("_Value")


class Place:
    """Which field is being read: its path in its entry, such as `balance.code`.

    `is_printable_ascii` is whether every string in the body is that, so that readers need not check each.
    """

    __slots__ = ("field", "is_printable_ascii")

    def __init__(self, body: bytes) -> None:
        self.field: str = ""
        # JSON has no control characters in a string, but for this one and those that are escaped.
        self.is_printable_ascii: bool = body.isascii() and b"\\" not in body and b"\x7f" not in body


def read_entries(
    body: bytes,
    name: str,
    read: Callable[[Entries, Place], Iterable[_Draft]],
    *,
    nested: Callable[[Any], Any] | None = None,
) -> list[_Draft]:
    """Read the list that is the field `name` of the JSON object in a body.

    `read` yields a draft of a balance for each entry, in their order. Before it looks up a field, it sets `field` of
    the place. If the lookup fails, or the reader of the field raises TypeError or ValueError, this raises a ShapeError
    with the path and the reason, for example `data[3].balance: missing`. It must look up a field in each entry, and in
    the object that `nested` gets from each entry, if it is given. A key that is given twice, anywhere, is a ShapeError
    too.
    """
    document, values = decode_counted(body)
    entries = list_in(document, name)
    place = Place(body)
    drafts: list[_Draft] = []
    try:
        drafts.extend(read(entries, place))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        kind, reason = type(error), str(error)
    else:
        # A fetch would take 5 % longer if every response were searched for a key that is given twice. Of two values of
        # one key, the document has one. What is counted here is in the document: itself, its fields, the entries (all
        # of them are objects, since `read` found a field in each) and their fields. The body holds `values` values at
        # most. So if these are as many, the document has all that the body holds, and no key is given twice.
        counted = 1 + len(document) + len(entries) + sum(map(len, entries))
        if nested is not None:
            counted += sum(map(len, map(nested, entries)))
        if counted != values:
            refuse_duplicates(document, body)
        return drafts
    # Raised out here, since the frames of the error above hold the response.
    index = len(drafts)
    raise _shape_error(entries[index], f"{name}[{index}]", place.field, kind, reason)


def column_of(entries: Entries, field: str) -> list[Any]:
    """Return the value of a field in each entry; None for each if one of them is no object, or lacks the field."""
    try:
        return [entry[field] for entry in entries]
    except (KeyError, TypeError):
        return [None] * len(entries)


def check_distinct(drafts: Sequence[_Draft], value_of: Callable[[_Draft], str | None], path: str) -> None:
    """Raise ShapeError if a value that is not None occurs in two drafts; `path` has `{}` for an index."""
    if len(set(map(value_of, drafts))) == len(drafts):
        return
    places: dict[str, int] = {}
    for index, value in enumerate(map(value_of, drafts)):
        if value is not None and places.setdefault(value, index) != index:
            raise ShapeError(f"{path.format(index)}: the same as {path.format(places[value])}")


def list_in(document: object, name: str | None) -> Entries:
    """Return the list that is a field of a JSON object, or that is the whole document.

    Raises ShapeError for anything else, for a list with an error beside it, and for one that is too long.
    """
    listed, place = document, ""
    if name is not None:
        if not isinstance(document, dict):
            raise ShapeError(f"expected an object, got {json_type_name(document)}")
        fields = cast("dict[str, object]", document)
        if name not in fields:
            raise ShapeError(f"{name}: missing")
        # A part of the balances may be missing, and a sum of the others would not show it.
        if len(fields) > 1 and (field := error_field_of(fields, name)) is not None:
            raise ShapeError(f"{field}: the response reports an error")
        listed, place = fields[name], f"{name}: "
    if not isinstance(listed, list):
        raise ShapeError(f"{place}expected a list, got {json_type_name(listed)}")
    entries = cast("Entries", listed)
    if len(entries) > MAX_BALANCES:
        raise ShapeError(f"{place}more than {MAX_BALANCES} entries")
    return entries


def error_field_of(fields: Mapping[str, object], name: str | None = None) -> str | None:
    """Return the field of a JSON object that reports an error, None if none does; `name` is that of a list."""
    # Beside a code, a message need not be about an error.
    has_code = any(field in fields for field in _ERROR_CODES)
    for field in _ERRORS if has_code else (*_ERRORS, *_ERROR_MESSAGES):
        if field != name and (value := fields.get(field)) and not _says(value, _NO_ERROR):
            return field
    for field, failure in _OUTCOMES.items():
        if field in fields and _says(fields[field], failure):
            return field
    return None


def _says(value: object, pattern: str) -> bool:
    return isinstance(value, str | int) and re.fullmatch(pattern, str(value)) is not None


def _shape_error(entry: object, path: str, field: str, kind: type[Exception], reason: str) -> ShapeError:
    """Return the error of a field, or of the first part of its path that is missing or is not an object."""
    value = entry
    for name in field.split("."):
        if not isinstance(value, dict):
            return ShapeError(f"{path}: expected an object, got {json_type_name(value)}")
        path = f"{path}.{name}"
        if name not in value:
            return ShapeError(f"{path}: missing")
        value = cast("dict[str, object]", value)[name]
    if kind is TypeError and type(value) in {list, dict}:
        # A list or an object cannot be looked up in a cache, and Python's message says only that it cannot be hashed.
        reason = f"expected a string, got {json_type_name(value)}"
    return ShapeError(f"{path}: {reason}")


def read_text(value: object) -> str:
    """Return a string; TypeError for anything else, the text of a number included."""
    if is_text(value):
        return value
    raise TypeError(f"expected a string, got {json_type_name(value)}")


class _Cache(dict[object, _Value]):
    """The results of a function by the text it was given; bounded, since responses may hold any number of texts."""

    def __init__(self, read: Callable[[str], _Value]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, value: object) -> _Value:
        text = read_text(value)
        result = self._read(text)
        if len(self) >= _MAX_CACHED:
            self.clear()
        # A JsonNumber equals its text and would find the result for it, so no text that could be a number is cached.
        if len(text) <= MAX_CODE_LENGTH and text.strip("0123456789+-.eE"):
            self[text] = result
        return result


def _cached(read: Callable[[str], _Value]) -> Callable[[object], _Value]:
    """Make a reader that takes strings only and calls the function once for each of them."""
    # A dict finds a cached text without calling a Python function, which would make reading a response 2 % slower.
    return _Cache(read).__getitem__


@_cached
def read_code(text: str) -> tuple[str, str]:
    """Return a code, and the currency that it names; ValueError if it is not valid."""
    code = check_code(text)
    return code, normalize_code(code)


@_cached
def read_chain(text: str) -> str:
    """Return the name of a chain; ValueError if it is not valid."""
    return check_chain(text)


@_cached
def read_asset_type(text: str) -> AssetType:
    """Return the type of asset that a text names, `UNKNOWN` if it is a new one."""
    return AssetType.reported(text)


def read_reference(value: object, *, is_printable_ascii: bool = False) -> str | None:
    """Return a provider's own id, or None for null; TypeError or ValueError for anything else.

    `is_printable_ascii` is that of the `Place`: then the characters of this text need not be checked.
    """
    # Nearly all ids pass this check, which is faster than `check_label`.
    if is_printable_ascii and type(value) is str and 0 < len(value) <= _MAX_USUAL and " " not in value:
        return value
    if value is None:
        return None
    return check_label(read_text(value))
