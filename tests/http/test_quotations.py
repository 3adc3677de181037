"""A secret is found in text however it is encoded, separated or cut."""

import base64
import hashlib
import html
import json
import quopri
from urllib.parse import quote

import pytest

from balancekit.http.quotations import Secrets

DIGEST = hashlib.sha512(b"{}").digest()
SIGNATURE = DIGEST.hex()
TOKEN = "canary/3f9a+Qx77/Zk0=="

DISGUISES = {
    "upper case": lambda secret: secret.upper().encode(),
    "two lines": lambda secret: f"{secret[:9]}\r\n{secret[9:]}".encode(),
    "colons": lambda secret: ":".join(secret).encode(),
    "blanks": lambda secret: " ".join(secret).encode(),
    "soft hyphens": lambda secret: "\u00ad".join(secret).encode(),
    "soft hyphens by name": lambda secret: "&shy;".join(secret).encode(),
    "blanks by number": lambda secret: "&#160;".join(secret).encode(),
    "tags": lambda secret: "<wbr>".join(secret).encode(),
    "tags by name": lambda secret: html.escape("<br>".join(secret)).encode(),
    "list": lambda secret: json.dumps(list(secret)).encode(),
    "JSON in JSON": lambda secret: json.dumps(json.dumps(json.dumps("\n".join(secret)))).encode(),
    "quoted-printable": lambda secret: quopri.encodestring(("x" * 30 + secret).encode()),
    "quoted-printable, all": lambda secret: "".join(f"={ord(c):02X}" for c in secret).encode(),
    "percent": lambda secret: quote(secret, safe="").encode(),
    "percent, all": lambda secret: "".join(f"%{ord(c):02x}" for c in secret).encode(),
    "percent twice": lambda secret: "".join(f"%25{ord(c):02x}" for c in secret).encode(),
    "HTML, decimal": lambda secret: "".join(f"&#{ord(c)};" for c in secret).encode(),
    "HTML, hexadecimal": lambda secret: "".join(f"&#x{ord(c):04x};" for c in secret).encode(),
    "HTML twice": lambda secret: "".join(f"&amp;#{ord(c)};" for c in secret).encode(),
    "escapes": lambda secret: "".join(f"\\u{ord(c):04x}" for c in secret).encode(),
    "octal": lambda secret: "".join(f"\\{ord(c):03o}" for c in secret).encode(),
    "hexadecimal": lambda secret: secret.encode().hex().encode(),
    "dump": lambda secret: secret.encode().hex(" ").encode(),
    "UTF-16": lambda secret: secret.encode("utf-16"),
    "UTF-16, big end first": lambda secret: secret.encode("utf-16-be"),
    "UTF-32": lambda secret: secret.encode("utf-32"),
    "base64": lambda secret: base64.b64encode(secret.encode()),
    "base64, shifted by one": lambda secret: base64.b64encode(f"'{secret}'".encode()),
    "base64, shifted by two": lambda secret: base64.b64encode(f"k={secret}".encode()),
    "base64 in lines": lambda secret: base64.encodebytes(f"the key is {secret}".encode()),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()),
    "base64 of UTF-16": lambda secret: base64.b64encode(secret.encode("utf-16")),
    "cut at the start": lambda secret: secret[3:].encode(),
    "cut at the end": lambda secret: secret[:-3].encode(),
    "cut to a dozen": lambda secret: secret.replace("/", "").replace("+", "")[1:13].encode(),
}


@pytest.mark.parametrize(
    "secret", [SIGNATURE, TOKEN, base64.b64encode(DIGEST).decode()], ids=["hex", "token", "base64"]
)
@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_a_secret_is_found_in_every_disguise(secret, disguise):
    """A dozen of its letters and digits count, whatever is between them and around them."""
    body = b'{"error": "you sent ' + disguise(secret) + b'"}'

    assert Secrets([secret]).quoted_in(disguise(secret).decode("utf-8", "replace"))
    assert Secrets([secret]).quoted_in(body.decode("utf-8", "replace"))


@pytest.mark.parametrize(
    "text",
    [DIGEST.hex(":"), base64.b64encode(DIGEST).decode(), base64.urlsafe_b64encode(b"x" + DIGEST).decode()],
    ids=["hex", "base64", "shifted"],
)
@pytest.mark.parametrize("secret", [SIGNATURE, base64.b64encode(DIGEST).decode()], ids=["hex", "base64"])
def test_the_bytes_that_a_secret_stands_for_are_found(secret, text):
    """A signature is as good in another encoding of the same bytes."""
    assert Secrets([secret]).quoted_in(text)


def test_a_user_and_a_password_are_found_as_they_were_before_base64():
    """Basic authentication sends them so, and a server may show what it has decoded."""
    assert Secrets([base64.b64encode(b"bob:hunter2pw").decode()]).quoted_in("no such user: bob, hunter2pw")


def test_all_of_a_short_secret_is_a_quotation():
    """A short password is found in disguise, too."""
    secrets = Secrets(["hunter2pw"])

    assert secrets.quoted_in("h-u-n-t-e-r-2-p-w")
    assert not secrets.quoted_in("hunter 2")


@pytest.mark.parametrize(
    "text",
    [
        "", "Bad signature header", "<html>\n<h1>502 Bad Gateway</h1>&nbsp;</html>", SIGNATURE[:11],
        hashlib.sha512(b"x").hexdigest(), "%zz &unknown &#; \\u00 = \\", "é" * 100,
    ],
    ids=["nothing", "words", "page", "eleven characters", "another signature", "no encodings", "not ASCII"],
)  # fmt: skip
def test_what_is_no_quotation_is_shown(text):
    """The reason for an error is of use only if it can be read."""
    assert not Secrets([SIGNATURE, TOKEN]).quoted_in(text)


@pytest.mark.parametrize(
    "text",
    ["%61" * 20_000, "&#97;" * 13_000, (SIGNATURE[:11] + "-") * 5_000],
    ids=["percent", "HTML", "pieces"],
)
def test_text_that_would_take_long_to_search_counts_as_a_quotation(text):
    """The time for one response is bounded, whatever a server sends."""
    assert Secrets([SIGNATURE]).quoted_in(text)


def test_secrets_are_not_in_the_repr_of_their_collection():
    """The collection is a local variable of many frames."""
    assert TOKEN not in repr([Secrets([TOKEN])])
