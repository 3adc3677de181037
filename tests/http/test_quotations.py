"""No secret is shown, however a text has it encoded, separated or cut."""

import base64
import binascii
import codecs
import hashlib
import html
import json
import quopri
import re
import string
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings, strategies as st

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
    "decimals of Go": lambda secret: f"[{' '.join(map(str, secret.encode()))}]".encode(),
    "buffer of Node": lambda secret: json.dumps({"type": "Buffer", "data": list(secret.encode())}).encode(),
    "list of 0x": lambda secret: ", ".join(map(hex, secret.encode())).encode(),
    "object by index": lambda secret: json.dumps(dict(enumerate(secret))).encode(),
    "pieces of five": lambda secret: json.dumps([secret[at : at + 5] for at in range(0, len(secret), 5)]).encode(),
    "pieces of ten": lambda secret: " and ".join(secret[at : at + 10] for at in range(0, len(secret), 10)).encode(),
    "base32": lambda secret: base64.b32encode(secret.encode()),
    "base32, shifted": lambda secret: base64.b32encode(f"the key {secret}".encode()),
    "base64 twice": lambda secret: base64.b64encode(base64.b64encode(secret.encode())),
    "base85": lambda secret: base64.b85encode(secret.encode()),
    "ASCII 85": lambda secret: base64.a85encode(secret.encode()),
    "reversed": lambda secret: secret[::-1].encode(),
    "ROT13": lambda secret: codecs.encode(secret, "rot13").encode(),
    "escapes of Perl": lambda secret: "".join(f"\\x{{{ord(c):x}}}" for c in secret).encode(),
    "escapes of CSS": lambda secret: "".join(f"\\{ord(c):x} " for c in secret).encode(),
    "code points": lambda secret: " ".join(f"U+{ord(c):04X}" for c in secret).encode(),
    "full width": lambda secret: "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in secret).encode(),
    "bold": lambda secret: "".join(chr(ord(c) + 0x1D3BF) if "A" <= c <= "Z" else c for c in secret).encode(),
    "percent four times": lambda secret: "".join(f"%252525{ord(c):02x}" for c in secret).encode(),
    "bits": lambda secret: " ".join(f"{byte:08b}" for byte in secret.encode()).encode(),
    "octal numbers": lambda secret: " ".join(f"{byte:o}" for byte in secret.encode()).encode(),
    "elements": lambda secret: "".join(f"<span>{c}</span>" for c in secret).encode(),
    "JSON, every other by number": lambda secret: re.sub(
        "(.)(.)", lambda two: f"\\u{ord(two[1]):04x}{two[2]}", secret
    ).encode(),
    "UTF-7": lambda secret: secret.encode("utf-7"),
    "punycode": lambda secret: f"é{secret}".encode("punycode"),
    "uuencode": lambda secret: binascii.b2a_uu(secret.encode()[:45]),
    "repr": lambda secret: repr(secret.encode()).encode(),
}


def pieces(text):
    """Return all sixes of letters and digits that follow each other in a text, but for the words of the disguises."""
    text = re.sub(r"\b(and|amp|data|nbsp|shy|span|type|Buffer|wbr)\b", "", text)
    letters = "".join(filter(str.isalnum, text.lower()))
    return {letters[at : at + 6] for at in range(len(letters) - 5)}


@pytest.mark.parametrize(
    "secret", [SIGNATURE, TOKEN, base64.b64encode(DIGEST).decode(), "$tr0ng!Pass", "correct-horse"],
    ids=["hex", "token", "base64", "password", "words"],
)  # fmt: skip
@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
@pytest.mark.parametrize("body", ["{}", '{{"error": "you sent {}"}}', "no such key: {}, try another"])
def test_no_disguise_of_a_secret_is_shown(secret, disguise, body):
    """Neither six of its letters and digits are, nor six of what it has been made into, whatever is around them."""
    sent = disguise(secret).decode("utf-8", "replace")

    shown = Secrets([secret]).redact(body.format(sent))

    assert not pieces(shown) & (pieces(secret) | pieces(sent) - pieces(body))


@settings(max_examples=1000)
@given(
    st.text(string.ascii_letters + string.digits, min_size=8, max_size=64)
    | st.text(string.ascii_letters + string.digits + "-_+/=.$!", min_size=12, max_size=64)
    | st.text("0123456789abcdef", min_size=16, max_size=128)
    | st.text(string.ascii_lowercase, min_size=8, max_size=40),
    st.sampled_from(sorted(DISGUISES)),
)
@example("000000000YAabaa", "pieces of ten")
@example("100H00A0", "uuencode")
def test_no_disguise_of_a_random_secret_is_shown(secret, disguise):
    """What a server sends back of a key is not shown, whichever key and encoding that is."""
    sent = DISGUISES[disguise](secret).decode("utf-8", "replace")

    shown = Secrets([secret]).redact(f"no such key: {sent}")

    # The letters before it are nobody's key, although they may go well with the first ones that are shown of it.
    shown = shown.removeprefix("no such key: ")
    assert not pieces(shown) & (pieces(secret) | pieces(sent)) - pieces("no such key")


@pytest.mark.parametrize(
    "text",
    [DIGEST.hex(":"), base64.b64encode(DIGEST).decode(), base64.urlsafe_b64encode(b"x" + DIGEST).decode()],
    ids=["hex", "base64", "shifted"],
)
@pytest.mark.parametrize("secret", [SIGNATURE, base64.b64encode(DIGEST).decode()], ids=["hex", "base64"])
def test_the_bytes_that_a_secret_stands_for_are_not_shown(secret, text):
    """A signature is as good in another encoding of the same bytes."""
    assert not pieces(Secrets([secret]).redact(text))


def test_a_user_and_a_password_are_not_shown_as_they_were_before_base64():
    """Basic authentication sends them so, and a server may show what it has decoded."""
    secrets = Secrets([base64.b64encode(b"bob:hunterpassword").decode()])

    assert secrets.redact("no such user: bob, hunterpassword") == "no such user: …, …"


@pytest.mark.parametrize(
    ("secret", "sent"),
    [
        ("cafe\u0301mu\u0308nchen", "caf\xe9m\xfcnchen"),
        ("gro\xdfma\xdfstab", "GROSSMASSSTAB"),
        ("\ufb01nanz\ufb02uss", "finanzfluss"),
        ("se\xf1orito", "senorito"),
    ],
    ids=["composed", "capitals", "ligatures", "accents"],
)
def test_a_secret_of_other_letters_is_not_shown_in_another_form(secret, sent):
    """Servers compose letters, write capitals, and drop accents."""
    assert Secrets([secret]).redact(f"wrong password {sent}") == "wrong password …"


@pytest.mark.parametrize(
    ("secret", "sent"),
    [("se\xf1or", "sen\u0303or"), ("sen\u0303or", "se\xf1or"), ("\ufb01nal", "FINAL"), ("caf\xe9", "cafe")],
    ids=["decomposed", "composed", "ligature", "accent"],
)
def test_a_secret_that_is_short_is_not_shown_in_another_form_as_a_whole(secret, sent):
    """Of one with fewer than six letters, a part may be a word of its own."""
    assert Secrets([secret]).redact(f"wrong password {sent}, as before") == "wrong password …, as before"


@pytest.mark.parametrize(
    "text",
    ["", "Bad signature header", "<html> <h1>502 Bad Gateway</h1></html>", "no such currency: EUR (code 1015)"],
    ids=["nothing", "words", "page", "numbers"],
)
def test_what_is_no_quotation_is_shown(text):
    """The reason for an error is of use only if it can be read."""
    assert Secrets([SIGNATURE, TOKEN]).redact(text) == text


@pytest.mark.parametrize(
    "text", ["%61" * 20_000, "&#97;" * 13_000, "word " * 100_000], ids=["percent", "HTML", "words"]
)
def test_only_the_start_of_a_text_is_read(text):
    """The time for one response is bounded, whatever a server sends."""
    assert len(Secrets([SIGNATURE]).redact(text)) <= 2_000


def test_a_word_that_is_a_part_of_a_secret_is_not_shown():
    """A secret may consist of words."""
    assert Secrets(["purple-monkeys-22"]).redact("do you mean purple, or MONKEYS?") == "do you mean …, or …?"


def test_secrets_are_not_in_the_repr_of_their_collection():
    """The collection is a local variable of many frames."""
    assert TOKEN not in repr([Secrets([TOKEN])])


def test_secrets_cannot_be_listed():
    """Error trackers iterate the local variables of a traceback that are sets or sequences."""
    with pytest.raises(TypeError):
        iter(Secrets([TOKEN]))


@pytest.mark.parametrize("secret", ["صلى الله عليه وسلم", "ﷺ is the key"], ids=["letters", "ligature"])
def test_a_secret_of_other_letters_is_found_in_a_name_of_their_ligature(secret):
    """One character stands for fifteen letters; it is looked at as them where a credential has letters of its kind."""
    secrets = Secrets([secret])

    assert secrets.may_be_in(["id ﷺ"])
    assert secrets.repeated_in(["id ﷺ"])
    assert not secrets.may_be_in(["id ﷲ"])


@pytest.mark.parametrize("before", range(8))
@pytest.mark.parametrize("others", [0, 20, 500, 5_000])
def test_a_dozen_characters_of_a_secret_are_a_repetition_wherever_they_are_and_eleven_are_none(others, before):
    """However many names there are, the ways of looking for them find the same."""
    secrets = Secrets([SIGNATURE])
    names = [f"id-{number:036x}" for number in range(others)]
    # With a letter around them that no encoding has.
    dozen, eleven = (f"{'ж' * before}{SIGNATURE[40 : 40 + length]}ж" for length in (12, 11))

    assert secrets.repeated_in([*names, dozen, *names])
    assert not secrets.repeated_in([*names, eleven, *names])
    assert secrets.may_be_in([*names, dozen])


def test_a_repetition_is_found_after_many_names_with_eleven_characters():
    """As many as there are names: each has to be looked at."""
    secrets = Secrets([SIGNATURE])
    names = [f"ж{SIGNATURE[at : at + 11]}ж" for at in range(len(SIGNATURE) - 11)]

    assert not secrets.repeated_in(names)
    assert secrets.repeated_in([*names, f"ж{SIGNATURE[60:72]}"])


def test_the_end_of_one_name_and_the_start_of_the_next_are_no_repetition():
    """They are two names, of which each may have something in common with a secret."""
    secrets = Secrets([f"{SIGNATURE[:20]}\n{SIGNATURE[20:40]}"])

    assert not secrets.repeated_in([f"жжж{SIGNATURE[12:20]}", f"{SIGNATURE[20:28]}жжж"])
