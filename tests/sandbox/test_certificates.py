"""A sandbox that speaks TLS, with a valid certificate or one with a single defect."""

import tempfile

import aiohttp
import pytest

from balancekit.sandbox import Certificate, Sandbox
from balancekit.sandbox.certificates import Authority


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_it_can_speak_tls(send, host):
    """A client that trusts the sandbox's authority gets a response."""
    async with Sandbox(host=host, certificate=Certificate.VALID) as sandbox:
        connector = aiohttp.TCPConnector(ssl=sandbox.client_context)
        async with aiohttp.ClientSession(connector=connector) as http:
            response = await http.get(f"{sandbox.address}/api/v2/ping")

            assert response.status == 200
    assert sandbox.address.startswith(f"https://{host}:")


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (Certificate.EXPIRED, "certificate has expired"),
        (Certificate.OTHER_HOST, "IP address mismatch"),
        (Certificate.SELF_SIGNED, "self-signed certificate"),
    ],
)
async def test_a_wrong_certificate_is_wrong_in_one_way(certificate, reason):
    """A client that trusts the sandbox's authority rejects it for its own reason, and sends no request."""
    async with Sandbox(certificate=certificate) as sandbox:
        connector = aiohttp.TCPConnector(ssl=sandbox.client_context)
        async with aiohttp.ClientSession(connector=connector) as http:
            with pytest.raises(aiohttp.ClientConnectorCertificateError, match=reason):
                await http.get(f"{sandbox.address}/api/v2/ping")

    assert sandbox.requests == ()


def test_without_a_certificate_there_is_no_authority():
    """A sandbox that speaks plain HTTP has no authority to trust."""
    with pytest.raises(RuntimeError, match="does not speak TLS"):
        _ = Sandbox().client_context


def test_certificates_leave_no_file(tmp_path, monkeypatch):
    """The private key is on the disk only while it is loaded."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    Authority(Certificate.VALID).server_context("127.0.0.1")

    assert list(tmp_path.iterdir()) == []
