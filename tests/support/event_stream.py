"""Reads a stream of server-sent events."""

import json


async def next_line(response):
    """Return the next line of a stream that is not empty."""
    while (line := (await response.content.readline()).decode()) == "\n":
        pass
    return line


async def next_state(response, is_wanted):
    """Return the first result of a stream that is wanted."""
    while True:
        line = await next_line(response)
        if line.startswith("data: ") and is_wanted(merged := json.loads(line.removeprefix("data: "))):
            return merged


def amounts(merged):
    """Return the amounts of a result by currency."""
    return {total["currency"]: total["amount"] for total in merged["totals"]}


def reasons(merged):
    """Return why accounts could not be read."""
    return {failure["account"]: failure["error"]["type"] for failure in merged["failures"]}
