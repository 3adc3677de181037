"""On which line of a TOML text each key is."""

import pytest

from balancekit.config.lines import line_of, lines_of_keys

TEXT = '''\
# [accounts.no]
title = """
[accounts.neither]
x = 1""""

[accounts."a.b = c"]   # a comment with [brackets]
provider = 'getmany'
list = [
  { env = "A" },   # ]
  "=",
]
key.part = "x"

  [ accounts . shop ]
"quoted key"={ env = "B" }
[[many]]
one = 1
[[many]]
two = 2
'''


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n")], ids=["LF", "CRLF"])
@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("accounts",), 6),
        (("accounts", "a.b = c"), 6),
        (("accounts", "a.b = c", "provider"), 7),
        (("accounts", "a.b = c", "list"), 8),
        (("accounts", "a.b = c", "key", "part"), 12),
        (("accounts", "shop"), 14),
        (("accounts", "shop", "quoted key"), 15),
        (("many", "one"), 17),
        (("many", "two"), 19),
    ],
    ids=lambda value: value if isinstance(value, int) else ".".join(value),
)
def test_a_key_is_on_the_line_on_which_it_begins(text, path, line):
    """Strings, comments and lists over several lines do not confuse it."""
    assert lines_of_keys(text)[path] == line


def test_what_has_no_line_has_that_of_the_table_that_it_is_in():
    """A key that is missing is missing there."""
    lines = lines_of_keys(TEXT)

    assert line_of(lines, ("accounts", "shop", "secret")) == 14
    assert line_of(lines, ("accounts", "shop", "quoted key", "env")) == 15
    assert line_of(lines, ("client",)) is None
