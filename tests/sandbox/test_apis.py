"""Paths outside both APIs."""

import pytest


@pytest.mark.parametrize("path", ["/", "/api/v1/ping", "/api/v2x", "/account.balance.getmany"])
async def test_what_is_outside_both_apis_is_not_found(sandbox, send, path):
    """Neither provider answers for it."""
    response = await send("POST", sandbox.address + path)

    assert (response.status, response.content_type) == (404, "text/plain")
