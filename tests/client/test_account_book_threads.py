"""The accounts of a client, looked at while some come and go: other threads may be in the middle of it at any time."""

from balancekit import Clock
from balancekit.client.account_book import AccountBook
from balancekit.client.origins import Origins
from tests.support.providers import Till


def test_what_iterates_over_the_accounts_goes_on_with_those_that_there_were():
    """Neither an account that comes nor one that goes ends it with an error."""
    book = AccountBook([Till("a"), Till("b")], Origins(), Clock())

    labels = iter(book)
    first = next(labels)
    book.add(Till("c"), "provider")
    book.remove("b")

    assert [first, *labels] == ["a", "b"]
    assert list(book) == ["a", "c"]
