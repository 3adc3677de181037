"""Responses that send back a credential as the name of something: a code, a chain or an id."""

from collections.abc import Iterable
from typing import Final

from balancekit.http.quotations import Secrets
from balancekit.http.secret import looks_like_words
from balancekit.money.balances import Balance
from balancekit.money.exact_json import ShapeError

_USUAL_REFERENCE: Final = 36
"""How long a UUID is."""


def names_of(balances: Iterable[Balance]) -> list[str | None]:
    """Return the code, the chain and the reference of each balance, one after another."""
    names: list[str | None] = []
    for balance in balances:
        names += balance.code, balance.chain, balance.reference
    return names


def check_names(names: list[str | None], known: Iterable[str | None], credentials: Secrets) -> None:
    """Raise ShapeError if a name of a balance repeats a credential; those that are `known` were checked before."""
    new = {name for name in names if name} - {*known}
    if credentials.may_be_in(new):
        # Ids may have much in common with the id of a key: those of one server and second are nearly the same.
        ids = {name for name in names[2::3] if name and len(name) <= _USUAL_REFERENCE}
        odd = [name for name in new - ids if not looks_like_words(name)]
        if credentials.found_in(new) or (odd and credentials.repeated_in(odd)):
            raise ShapeError("the response repeats a credential of the request")
