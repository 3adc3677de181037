"""The check of the built site's links: what leads nowhere is named, and nothing is asked of a network."""

import pytest

from docs.check_links import problems


def write(site, **pages):
    """Write pages of a site, by their names, with these elements."""
    for name, body in pages.items():
        (site / f"{name}.html").write_text(f"<!doctype html><body>{body}</body>", encoding="utf-8")


def test_links_that_lead_somewhere_are_no_problem(tmp_path):
    """Pages, anchors, files, pictures and well-formed links to other sites pass."""
    (tmp_path / "picture.svg").write_text("<svg/>")
    write(
        tmp_path,
        first='<h1 id="a-b">.</h1><a href="second.html#there">.</a><a href="#a-b">.</a><img src="picture.svg">',
        second='<a name="there">.</a><a href="https://peps.python.org/pep-0561/#id1">.</a><a href="first.html">.</a>',
    )

    assert problems(tmp_path) == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("gone.html", "no such file in the site"),
        ("../outside.html", "no such file in the site"),
        ("second.html#gone", "no such anchor in the page"),
        ("#gone", "no such anchor in the page"),
        ("http://peps.python.org/", "not the https:// URL of a public host"),
        ("https://localhost/", "not the https:// URL of a public host"),
        ("https:///pep-0561/", "not the https:// URL of a public host"),
        ("https://name@peps.python.org/", "not the https:// URL of a public host"),
        ("https://peps.python.org/a b", "not the https:// URL of a public host"),
        ("//peps.python.org/", "not the https:// URL of a public host"),
    ],
)
def test_a_link_that_leads_nowhere_is_named(tmp_path, link, problem):
    """The line has the page, the link and what is wrong."""
    write(tmp_path, first=f'<a href="{link}">.</a>', second="")
    (tmp_path.parent / "outside.html").touch()

    assert problems(tmp_path) == [f"first.html: {link!r}: {problem}"]


def test_a_picture_that_is_missing_is_named(tmp_path):
    """What a page shows has to be there, too."""
    write(tmp_path, first='<img src="gone.svg">')

    assert problems(tmp_path) == ["first.html: 'gone.svg': no such file in the site"]
