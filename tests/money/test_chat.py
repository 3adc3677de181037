"""Messages for a chat: each fits and says what is missing, no amount is lost, and no name breaks the mark-up."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from attrs import evolve
from hypothesis import assume, given, strategies as st

from balancekit import (
    AccountBalances,
    AccountFailure,
    AssetType,
    AuthenticationError,
    Balance,
    ConfigError,
    ProviderTimeoutError,
    merge,
)

NOW = datetime(2026, 1, 1, 17, 5, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=3, minutes=3)
STYLES = ["plain", "telegram", "discord", "discord_embed"]
LIMITS = {"telegram": 4096, "discord": 2000, "discord_embed": 4096}
MARKUP = {"plain": 0, "telegram": len("<pre></pre>"), "discord": 8, "discord_embed": 8}
NAMES = st.text("aZ19 `<>&\"'@*_~|\\/[](){}#:;,.!ßЖ好אם😀é\u0301", min_size=1, max_size=20).filter(str.strip)
NAMES = NAMES.map(str.strip)
CODES = NAMES.filter(lambda name: " " not in name) | st.sampled_from(["EUR", "USDC", "BTC"])
AMOUNTS = st.decimals("-1e25", "1e25", places=6) | st.integers(-9, 9).map(lambda power: Decimal(1).scaleb(4 * power))


@st.composite
def _results(draw):
    labels = draw(st.lists(NAMES, unique=True, max_size=12))
    states = draw(st.lists(st.sampled_from(["fresh", "old", "missing"]), min_size=len(labels), max_size=len(labels)))
    held = st.lists(st.tuples(CODES, AMOUNTS, st.sampled_from(AssetType)), max_size=8)
    accounts = [
        AccountBalances(
            label,
            "fake",
            tuple(Balance(code, amount, asset_type, label, "fake", code) for code, amount, asset_type in draw(held)),
            EARLIER if state == "old" else NOW,
            stale=state == "old",
        )
        for label, state in zip(labels, states, strict=True)
        if state != "missing"
    ]
    return merge(accounts, [_failure(label) for label, state in zip(labels, states, strict=True) if state != "fresh"])


def _failure(account, kind=ProviderTimeoutError):
    return AccountFailure(account, "fake", kind("no", account=account, provider="fake"))


def _units(text):
    return len(text.encode("utf-16-le")) // 2


class _Telegram(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_endtag(self, tag):
        self.tags.append(f"/{tag}")

    def handle_data(self, data):
        assert self.tags == [("pre", [])]
        self.text += data


def _read(message, style):
    """Return the lines that a chat shows; fail if anything but the whole is marked up."""
    if style == "plain":
        return message.split("\n")
    if style == "telegram":
        parser = _Telegram()
        parser.feed(message)
        parser.close()
        assert parser.tags == [("pre", []), "/pre"]
        return parser.text.split("\n")
    assert (message[:4], message[-4:]) == ("```\n", "\n```")
    inner = message[4:-4]
    assert "``" not in inner
    assert not re.search("@[^\u200b]", inner)
    return inner.replace("\u200b", "").split("\n")


def _least_limit(message):
    return int(re.search(r"limit must be at least (\d+)", message)[1])


@given(_results(), st.sampled_from(STYLES), st.integers(1, 400))
def test_every_message_fits_and_says_what_is_missing(merged, style, limit):
    """Whatever is held and by whom, the mark-up is whole, and the last line is the notice unless nothing is missing."""
    try:
        messages = merged.to_texts(limit, style=style, now=NOW)
    except ConfigError as error:
        assume(_least_limit(str(error)) > limit)
        messages = merged.to_texts(limit := _least_limit(str(error)), style=style, now=NOW)

    assert messages
    for message in messages:
        assert len(message) <= _units(message) <= limit
        assert _read(message, style)[-1].startswith(("INCOMPLETE", "NOTHING READ")) is not merged.complete


@given(_results(), st.sampled_from(STYLES), st.integers(300, 4096))
def test_every_currency_is_in_one_message_as_it_is_in_the_text(merged, style, limit):
    """The messages together have the lines of the text about currencies, whole and in order."""
    limit = min(limit, LIMITS.get(style, limit))
    lines = merged.to_text(align=True, now=NOW).split("\n")[: len(merged)]

    messages = [_read(message, style) for message in merged.to_texts(limit, style=style, align=True, now=NOW)]

    ends = None if merged.complete else -1
    assert [line for message in messages for line in message[:ends]][: len(merged)] == lines


@given(
    _results(),
    st.sampled_from(STYLES),
    st.integers(100, 300),
    st.none() | st.integers(1, 4),
    st.none() | st.integers(100, 900),
    st.none() | st.integers(1, 9),
)
def test_what_is_kept_is_never_left_out(merged, style, limit, max_parts, max_total, max_lines):
    """Within all bounds, each kept currency is shown once, the others in order, and those left out are counted."""
    keep = ("EUR", "usdc")
    lines = merged.to_text(now=NOW).split("\n")[: len(merged)]
    kept = [line for total, line in zip(merged, lines, strict=True) if total.currency in {"EUR", "USDC"}]
    bounds = {"max_parts": max_parts, "max_total": max_total, "max_lines": max_lines}

    try:
        messages = merged.to_texts(limit, style=style, keep=keep, align=False, now=NOW, **bounds)
    except ConfigError as error:
        needed = [int(number) for number in re.findall(r"(?:at least |=)(\d+)", str(error))]
        given = [limit] if len(needed) == 1 else bounds.values()
        assert any(bound is not None and bound < least for bound, least in zip(given, needed, strict=True))
        return

    assert all(_units(message) <= limit for message in messages)
    assert max_parts is None or len(messages) <= max_parts
    assert max_total is None or sum(map(_units, messages)) <= max_total
    read = [line for message in messages for line in _read(message, style)]
    omitted = sum(int(line.split()[1]) for line in read if re.fullmatch(r"and \d+ more currenc(y|ies)", line))
    shown = [line for line in read if line in lines]
    assert len(shown) == len(lines) - omitted
    assert shown == [line for line in lines if line in shown]
    assert [line for line in shown if line in kept] == kept
    assert max_lines is None or len(shown) + bool(omitted) <= max_lines


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("plain", ["B`<>@C 1.5", "EUR 20", "a&b: not read", "INCOMPLETE: 1 of 2 accounts could not be read: a&b"]),
        (
            "telegram",
            [
                "<pre>B`&lt;&gt;@C  1.5",
                "EUR    20",
                "a&amp;b: not read",
                "INCOMPLETE: 1 of 2 accounts could not be read: a&amp;b</pre>",
            ],
        ),
        (
            "discord",
            [
                "```",
                "B`\u200b<>@\u200bC  1.5",
                "EUR    20",
                "a&b: not read",
                "INCOMPLETE: 1 of 2 accounts could not be read: a&b",
                "```",
            ],
        ),
    ],
    ids=["plain", "telegram", "discord"],
)
def test_each_style_escapes_what_it_would_read(make_snapshot, style, expected):
    """HTML has no tags but those around it, no backticks end the block of code, and nobody is mentioned."""
    merged = merge([make_snapshot("shop", ("B`<>@C", "1.5"), ("EUR", "20"))], [_failure("a&b")])

    (message,) = merged.to_texts(style=style)

    assert message.split("\n") == expected


@pytest.mark.parametrize(("style", "limit"), LIMITS.items())
def test_each_chat_has_its_limit(make_snapshot, style, limit):
    """Without a limit messages are as long as the chat takes them, and no longer."""
    merged = merge([make_snapshot("shop", *((f"C{number:03}", "1") for number in range(999)))])

    lengths = [len(message) for message in merged.to_texts(style=style)]

    assert all(limit - len("\nC001 1") < length <= limit for length in lengths[:-1])
    assert len(lengths) > 1


def test_characters_outside_the_basic_plane_count_twice(make_snapshot):
    """The length is in UTF-16 units, as Telegram counts it."""
    merged = merge([make_snapshot("shop", ("😀", "1"), ("😎", "2"))])

    assert merged.to_texts(9) == ["😀 1\n😎 2"]
    assert merged.to_texts(8) == ["😀 1", "😎 2"]


def test_the_notice_is_of_names_if_there_is_room_and_else_of_numbers(make_snapshot):
    """At last it is the one word that says that something is missing."""
    merged = merge([make_snapshot("shop", ("BTC", "1"), ("EUR", "2"))], [_failure("a" * 60), _failure("b" * 60)])

    counted = "INCOMPLETE: 2 of 3 accounts could not be read"
    assert merged.to_texts(400)[0].endswith(f"{counted}: {'a' * 60}, {'b' * 60}")
    assert merged.to_texts(100) == [f"BTC 1\nEUR 2\n2 accounts: timed out\n{counted}"]
    assert merged.to_texts(32) == ["BTC 1\nEUR 2\nINCOMPLETE", "2 accounts: timed out\nINCOMPLETE"]


@pytest.mark.parametrize("style", LIMITS)
def test_a_limit_above_that_of_the_chat_is_refused(make_snapshot, style):
    """The chat would refuse the message, or cut the notice off."""
    merged = merge([make_snapshot("a", ("BTC", "1"), fetched_at=NOW)])

    with pytest.raises(ConfigError, match=f"limit must be at most .* with the style {style}, not 9999"):
        merged.to_texts(9999, style=style)


def test_a_limit_too_small_for_a_line_is_an_error_with_the_least_one(make_snapshot):
    """The error's number is a limit that is possible, and one less is not."""
    merged = merge([make_snapshot("shop", ("BTC", "1"), ("EUR", "123456789"))], [_failure("till")])

    with pytest.raises(ConfigError, match="limit must be at least 35, not 10") as caught:
        merged.to_texts(10, style="telegram")

    least = _least_limit(str(caught.value))
    assert max(map(len, merged.to_texts(least, style="telegram"))) == least
    with pytest.raises(ConfigError):
        merged.to_texts(least - 1, style="telegram")


def test_many_failures_are_grouped_by_reason(make_snapshot):
    """Three hundred accounts take two lines, and no message has their names."""
    kinds = [AuthenticationError] * 88 + [ProviderTimeoutError] * 212
    failures = [_failure(f"shop-{number}", kind) for number, kind in enumerate(kinds)]
    merged = merge([make_snapshot("till", ("BTC", "1"))], failures)

    assert merged.to_text() == (
        "BTC 1\n212 accounts: timed out; 88: key refused\nINCOMPLETE: 300 of 301 accounts could not be read"
    )


def test_many_old_snapshots_are_one_line_with_the_oldest(make_snapshot):
    """The ages of six accounts are not listed."""
    ages = [timedelta(hours=hours) for hours in (2, 9, 3, 4, 5, 6)]
    stale = [make_snapshot(str(age), fetched_at=NOW - age, stale=True) for age in ages]

    assert merge(stale).to_text(now=NOW).split("\n")[1] == ("6 accounts are stale: the oldest as of 08:05 UTC, 9 h old")


def test_the_oldest_of_many_is_the_one_whose_provider_reports_the_oldest(make_snapshot):
    """The age in the line of all is that in the line of the currency, which counts from what the provider reports."""
    stale = [make_snapshot(str(number), ("BTC", "1"), fetched_at=NOW, stale=True) for number in range(6)]
    stale[3] = evolve(stale[3], reported_at=NOW - timedelta(hours=9))

    assert merge(stale).to_text(now=NOW).split("\n")[:2] == [
        "BTC 6 (as of 08:05 UTC, 9 h old)",
        "6 accounts are stale: the oldest as of 08:05 UTC, 9 h old",
    ]


def test_what_is_left_out_is_counted(make_snapshot):
    """The currencies that are kept stay where they are, and others give way to a line with their number."""
    merged = merge([make_snapshot("shop", *((code, "1") for code in ("AAA", "BBB", "CCC", "DDD", "EUR")))])

    assert merged.to_text(max_lines=3, keep=["eur"]) == "AAA 1\nEUR 1\nand 3 more currencies"
    assert merged.to_text(max_lines=5) == "AAA 1\nBBB 1\nCCC 1\nDDD 1\nEUR 1"
    assert merged.to_texts(28, max_parts=1, keep=["EUR"]) == ["EUR 1\nand 4 more currencies"]


def test_what_must_be_kept_and_has_no_room_is_an_error(make_snapshot):
    """The error says which bounds would do."""
    merged = merge([make_snapshot("shop", ("BTC", "1"), ("EUR", "1"), ("USD", "1000000000"))])

    with pytest.raises(ConfigError, match="need max_parts=1, max_total=31 and max_lines=3"):
        merged.to_text(max_lines=2, keep=("BTC", "EUR"))
    with pytest.raises(ConfigError, match="need max_parts=2, max_total=30 and max_lines=3"):
        merged.to_texts(21, max_parts=1, keep=("BTC", "EUR"))


def test_one_very_long_amount_does_not_widen_the_column(make_snapshot):
    """It stands out of the column, so that the other lines stay short."""
    merged = merge([make_snapshot("shop", ("A", "1E+30"), ("LONGER-THAN-TWELVE", "1"), ("好", "2.5"), ("USDC", "10"))])

    assert merged.to_text(align=True).split("\n") == [
        f"A    1{'0' * 30}",
        "LONGER-THAN-TWELVE  1",
        "USDC 10",
        "好    2.5",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"max_parts": True},
        {"limit": 4096.0},
        {"max_parts": 0},
        {"max_total": -1},
        {"max_lines": "3"},
        {"style": "markdown"},
        {"keep": "EUR"},
    ],
    ids=str,
)
def test_a_bound_that_cannot_be_is_an_error(make_snapshot, wrong):
    """A bound is a whole number from 1, a style is one of the four, and what is kept is a collection."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        merge([make_snapshot("shop", ("BTC", "1"))]).to_texts(**wrong)


def test_a_name_moves_nothing_in_its_line(make_snapshot):
    """Letters that are written from right to left do not reorder the amount, nor do many blanks feign another line."""
    merged = merge([make_snapshot("shop", ("אב", "15"))], [_failure("till" + " " * 40 + "EUR 99"), _failure("גד")])

    assert merged.to_text().split("\n") == [
        "\u2068אב\u2069 15",
        "till EUR 99: not read",
        "\u2068גד\u2069: not read",
        "INCOMPLETE: 2 of 3 accounts could not be read: till EUR 99, \u2068גד\u2069",
    ]


def test_each_message_says_what_a_view_is_of(make_snapshot):
    """A part of the result is not taken for all of it, in however little room."""
    view = merge([make_snapshot("shop", ("BTC", "1"), ("EUR", "2"), ("USD", "3"))]).only("EUR", "BTC")

    assert view.to_texts() == ["Only EUR, BTC\nEUR 2\nBTC 1"]
    assert view.to_texts(22) == ["Only EUR, BTC\nEUR 2", "Only EUR, BTC\nBTC 1"]
    assert view.to_texts(17) == ["Only a part\nEUR 2", "Only a part\nBTC 1"]


def test_there_are_as_many_currencies_as_there_is_room_for(make_snapshot):
    """One line more than is shown would not fit."""
    merged = merge([make_snapshot("shop", *((f"C{number:02}", "1") for number in range(100)))])
    line, more = len("C00 1\n"), len("and 80 more currencies")

    for room in (20 * line + more, 21 * line + more - 1):
        (message,) = merged.to_texts(room, max_parts=1)
        assert message == merged.to_texts(max_total=room)[0] == merged.to_text(max_lines=21)
        assert message.endswith("C19 1\nand 80 more currencies")


def test_the_line_that_counts_needs_room_as_well(make_snapshot):
    """A limit that is enough for each currency may be too small for what stands for all others."""
    merged = merge([make_snapshot("shop", *((code, "1") for code in "ABCDEFG"))])

    with pytest.raises(ConfigError, match=f"limit must be at least {len('and 7 more currencies')}, not 12"):
        merged.to_texts(12, max_parts=1)


def test_currencies_come_before_the_names_of_accounts(make_snapshot):
    """Long labels take no room that currencies need, and are not repeated in every message."""
    failures = [_failure(letter * 100) for letter in "abcde"]
    merged = merge([make_snapshot("shop", *((f"C{number:03}", "1") for number in range(200)))], failures)
    counted = "INCOMPLETE: 5 of 6 accounts could not be read"

    (message,) = merged.to_texts(1000, max_parts=1)
    assert message.split("\n")[-3:-1] == ["and 70 more currencies", "5 accounts: timed out"]
    assert [message.rpartition("\n")[2] for message in merged.to_texts(1500)] == [counted] * 2


def test_the_largest_value_comes_first(make_snapshot):
    """A debt is as large as what is held, equal values are in the order of their currencies, and the last have none."""
    held = (("AAA", "5"), ("BTC", "-2"), ("ETH", "1"), ("EUR", "900", "fiat"), ("SOL", "9"), ("ZZZ", "7"))
    merged = merge([make_snapshot("shop", *held)])
    valuation = merged.value_in("EUR", {"BTC": "60000", "ETH": "2700", "SOL": "300"})

    assert merged.to_text(by_value=valuation).split("\n") == ["BTC -2", "ETH 1", "SOL 9", "EUR 900", "AAA 5", "ZZZ 7"]
    assert merged.to_texts(by_value=valuation, max_lines=3, keep=["ZZZ"]) == ["BTC -2\nZZZ 7\nand 4 more currencies"]
