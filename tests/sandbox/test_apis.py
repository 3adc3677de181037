"""Paths outside both APIs."""

import pytest


@pytest.mark.parametrize("path", ["/", "/api/v1/ping", "/api/v2x", "/account.balance.getmany"])
async def test_a_path_outside_both_apis_is_not_found(sandbox, send, path):
    """It belongs to neither provider."""
    response = await send("POST", sandbox.address + path)

    assert (response.status, response.content_type) == (404, "text/plain")
