"""Names that come from outside: only what can be shown, compared and written down is let in."""

from typing import Final

MAX_CODE_LENGTH: Final = 32
"""How many characters a currency's code, or the name of a chain, may have."""

MAX_LABEL_LENGTH: Final = 200
"""How many characters the label of an account, or a provider's own id, may have."""


def check_code(code: object) -> str:
    """Return a currency code (or the name of a chain) that can be shown and compared.

    Raises TypeError for anything but a string, ValueError for one that is empty, longer than `MAX_CODE_LENGTH`, not
    printable or with blanks around it.
    """
    return _check(code, "code", MAX_CODE_LENGTH)


def check_label(label: object) -> str:
    """Return the label of an account, the name of a provider or a provider's own id if it can be shown.

    Raises TypeError for anything but a string, ValueError for one that is empty, longer than `MAX_LABEL_LENGTH`, not
    printable or with blanks around it.
    """
    return _check(label, "label", MAX_LABEL_LENGTH)


def currency_of(code: str) -> str:
    """Return the currency that a code names: the code in upper case.

    Only ASCII letters are changed. Other scripts have letters that become ASCII ones in upper case, and a code with
    such a letter must not pass for another.
    """
    if not code.isascii():
        return code
    currency = code.upper()
    # Nearly every code is a currency already: kept as one string rather than as two that are equal.
    return code if currency == code else currency


def _check(name: object, kind: str, longest: int) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a {kind} must be a string, not {type(name).__name__}")
    if not name:
        raise ValueError(f"an empty {kind}")
    if len(name) > longest:
        raise ValueError(f"a {kind} longer than {longest} characters")
    if not name.isprintable():
        raise ValueError(f"a {kind} with characters that are not printable")
    if name != name.strip():
        raise ValueError(f"a {kind} with blanks around it")
    return name
