"""A request that a firewall or a list of addresses refuses is not put down to the credentials, and the reverse."""

import pytest

from balancekit import AuthenticationError, ErrorDetail, Response
from balancekit.http.error_responses import error_detail
from balancekit.http.hints import BLOCKED_HINT, HINTS


@pytest.mark.parametrize(
    "body",
    [
        b"<html><title>Just a moment...</title></html>",
        b"error code: 1020",
        b'{"type": "https://developers.example/1020", "title": "Error 1020: Access denied", "cloudflare_error": true}',
        b'{"status": 403, "title": "Error 1009", "error_code": 1009, "cloudflare_error": true, "retryable": false}',
        b'{"message": "Forbidden"}',
        b'{"message":"Forbidden"}\n',
        b'{"error": "IP address is not allowed", "code": "forbidden_ip"}',
        b'{"error": {"code": "FORBIDDEN", "message": "Your IP is not in the list"}}',
        b'{"error": "denied", "code": "ip_not_whitelisted"}',
        b'{"error": "IP_RESTRICTED"}',
        b'{"error": "Your address is not on the allow-list"}',
    ],
    ids=[
        "html",
        "plain text",
        "Cloudflare",
        "code of Cloudflare",
        "AWS",
        "line of AWS",
        "flat",
        "nested",
        "code",
        "bare code",
        "list",
    ],
)
def test_a_403_of_a_firewall_or_for_an_address_does_not_send_people_to_change_keys(make_error, body):
    """The page of a firewall is not the provider's response, and an address that is not allowed is no wrong key."""
    response = Response(403, body=body)
    error = make_error(response, error_detail(response))

    assert type(error) is AuthenticationError
    assert error.hint == BLOCKED_HINT


def test_a_401_for_an_address_is_not_about_the_credentials(make_error):
    """Some providers send that status in place of a 403."""
    response = Response(401, body=b'{"error": "IP address not allowed", "code": "invalid_ip"}')

    assert make_error(response, error_detail(response)).hint == BLOCKED_HINT


BLOCKED = (
    *("InvalidIp", "invalidIP", "IpNotAllowed", "IPNotAllowed", "ipNotAllowed", "clientIpBlocked", "UnauthorizedIP"),
    *("IPAddressNotAllowed", "IPADDRESS_NOT_ALLOWED", "ipaddress_not_allowed", "ipv4_not_allowed", "IP-NOT-ALLOWED"),
    *("trusted_ips", "ADDRESS_NOT_ALLOWED", "remote_addr_denied", "cidr_not_allowed", "safelist", "whiteListRequired"),
    *("IPs not allowed", "IPv6 is not supported for this key", "source address rejected", "Address not permitted"),
    "Requests from 203.0.113.9 are not permitted",
    "invalid_api_key: this IP is not on the list",
    "This IP may not use the API key",
    "Invalid IP for the key",
    *("your address is not listed", "client addr refused", "sender-address denied", "host_addr_blocked", "allow-list"),
)

OF_THE_KEY = (
    "bad key, request from ip 1.2.3.4 logged",
    "invalid api key (ip: 203.0.113.9)",
    "InvalidApiKey from IP 203.0.113.9",
    "Invalid signature. Your IP has been logged",
    "The API key is not valid, and your IP is now known to us",
    "Your email address is not verified",
    "wallet address not found",
    "zip: not allowed for VIPs in this ZIP",
    "shipping_script_missing",
)


@pytest.mark.parametrize(
    "refused",
    [
        *("is not on the list", "isn't on the list", "has no access", "is unlisted", "is invalid", "is denied"),
        *("is blocked", "is restricted", "is forbidden", "is rejected", "is refused", "is banned"),
    ],
)
@pytest.mark.parametrize("ended", [", ", "; ", ": ", " (", ") ", ". "])
def test_an_address_that_is_refused_counts_beside_a_wrong_key(make_error, ended, refused):
    """What is said of the key is another statement."""
    detail = ErrorDetail(None, f"bad key{ended}this IP {refused}")

    assert make_error(Response(403), detail).hint == BLOCKED_HINT


@pytest.mark.parametrize(
    "words",
    [
        "Invalid API-key, IP, or permissions for action.",
        "invalid key or ip",
        "Invalid signature OR IP address",
        "Wrong IP or invalid key",
    ],
)
def test_a_key_and_an_address_that_are_named_as_causes_are_both_to_be_checked(make_error, words):
    """A provider that does not say which of them it is leaves no other way."""
    hint = make_error(Response(401), ErrorDetail(None, words)).hint

    assert "credentials" in hint
    assert "IP address" in hint


@pytest.mark.parametrize("words", BLOCKED)
def test_an_address_that_is_refused_is_known_in_many_wordings(make_error, words):
    """As a code in any case, and as a sentence that may name the key as well."""
    assert make_error(Response(403), ErrorDetail(None, words)).hint == BLOCKED_HINT


@pytest.mark.parametrize("words", OF_THE_KEY)
def test_an_address_beside_a_wrong_key_is_not_blamed(make_error, words):
    """Providers say where the request came from; and not every address is that of a machine."""
    assert make_error(Response(403), ErrorDetail(None, words)).hint == HINTS[AuthenticationError]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"error": "zip: no such key", "code": "bad_key"}',
        b'{"error": "Bad key"}',
        b'{"error": "Forbidden"}',
        b'{"message": "Forbidden", "code": 7}',
        b'{"message": "No such key"}',
        b'{"cloudflare_error": false, "message": "No such key"}',
        b'["Forbidden"]',
        b"{",
    ],
)
def test_a_403_of_the_provider_is_about_the_credentials(make_error, body):
    """Only a response that the provider did not write, or that names an address, is put down to a firewall."""
    response = Response(403, body=body)

    assert make_error(response, error_detail(response)).hint == HINTS[AuthenticationError]
