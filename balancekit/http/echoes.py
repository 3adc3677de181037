"""Responses that send back a credential as the name of something: a code, a chain or an id."""

from collections.abc import Iterable
from typing import Final

import attrs

from balancekit.http.quotations import Secrets
from balancekit.http.secret import looks_like_words
from balancekit.money.balances import Balance
from balancekit.money.exact_json import ShapeError

_USUAL_REFERENCE: Final = 36
"""How long a UUID is."""


@attrs.frozen
class KnownNames:
    """The codes, chains and references that an account had last, in which no credential was found."""

    names: tuple[list[str], list[str | None], list[str | None]] = ([], [], [])

    def check(self, balances: Iterable[Balance], credentials: Secrets) -> "KnownNames":
        """Return the names of balances; ShapeError if one that is not known yet repeats a credential."""
        listed = list(balances)
        codes, chains = [one.code for one in listed], [one.chain for one in listed]
        references = [one.reference for one in listed]
        known = {name for names in self.names for name in names}
        new = {name for name in (*codes, *chains, *references) if name and name not in known}
        # Ids may have much in common with the id of a key: those of one server and second differ in a few characters.
        ids = {name for name in references if name and len(name) <= _USUAL_REFERENCE}
        odd = [name for name in new - ids if not looks_like_words(name)]
        if credentials.found_in(new) or (odd and credentials.repeated_in(odd)):
            raise ShapeError("the response repeats a credential of the request")
        return KnownNames((codes, chains, references))
