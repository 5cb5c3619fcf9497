"""Where a Location header leads: read as browsers read it, checked like any URL, refused clearly if malformed."""

import pytest

from leaseway.outbound.urls import UrlRefusedError, check_url, resolve_redirect

START = check_url("http://example.org/a/b?c")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        (b"/ok?family=A|B", "http://example.org/ok?family=A|B"),
        (b"/with space?q=a b", "http://example.org/with%20space?q=a%20b"),
        ("/grüße?q=ä".encode(), "http://example.org/gr%C3%BC%C3%9Fe?q=%C3%A4"),
        ("/grüße".encode("latin-1"), "http://example.org/gr%FC%DFe"),
        (b"\\back\\slash", "http://example.org/back/slash"),
        (b"\\\\other.example\\x", "http://other.example/x"),
        (b'/"quoted"<>{}`', "http://example.org/%22quoted%22%3C%3E%7B%7D%60"),
        (b"/a%20b%zz", "http://example.org/a%20b%zz"),
        (b"//other.example/x", "http://other.example/x"),
        (b"?q", "http://example.org/a/b?q"),
        (b"../x#part", "http://example.org/x"),
        (b"  /trimmed\t", "http://example.org/trimmed"),
        (b"HTTPS:\\\\OTHER.example:443", "https://other.example/"),
        ("http://bücher.example/ü".encode(), "http://xn--bcher-kva.example/%C3%BC"),
        ("//BÜCHER.example".encode(), "http://xn--bcher-kva.example/"),
        (b"http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
        (b"http://XN--BCHER-KVA.EXAMPLE/", "http://xn--bcher-kva.example/"),
        ("http://例え.テスト/".encode(), "http://xn--r8jz45g.xn--zckzah/"),
        (b"http://1.1.1.1/", "http://1.1.1.1/"),
        (b"#part", "http://example.org/a/b?c"),
        (b"http:relative", "http://example.org/a/relative"),
        (b"https:other.example", "https://other.example/"),
        (b"/\\other.example/x", "http://other.example/x"),
        (b"///other.example/x", "http://other.example/x"),
        (b"HT\tTP://other.example/x", "http://other.example/x"),
        (b"http://other.example:080/", "http://other.example/"),
        (b"http://other.example:/", "http://other.example/"),
        (b"http://other.example\\@127.0.0.1/", "http://other.example/@127.0.0.1/"),
        (b"http://other.example#@127.0.0.1/", "http://other.example/"),
        (b"http://other.example?@127.0.0.1/", "http://other.example/?@127.0.0.1/"),
        (b"?q='[x]|^`", "http://example.org/a/b?q=%27[x]|^`"),
        (b"/%2e%2e/..//./x%", "http://example.org//x%"),
        ("http://fa\u00df.example/\u2028".encode(), "http://xn--fa-hia.example/%E2%80%A8"),
        ("http://\U0001f4a9.example".encode(), "http://xn--ls8h.example/"),
        ("http://a\u00adb。example./".encode(), "http://ab.example./"),
        (b"//[2606:4700::1111]:80/", "http://[2606:4700::1111]/"),
    ],
)
def test_a_redirect_leads_where_a_browser_would_go(location: bytes, url: str) -> None:
    assert resolve_redirect(START, location).url == url


def test_a_redirect_within_a_literal_address_stays_there() -> None:
    assert resolve_redirect(check_url("http://1.1.1.1/"), b"/x").url == "http://1.1.1.1/x"


@pytest.mark.parametrize(
    "location",
    [
        b"http://[",
        b"http://]/",
        b"http://[::1",
        b"http://[1::2::3]/",
        b"http://example.org:port/",
        b"http://example.org:99999/",
        b"http://",
        b"http://a%00b/",
        b"http://xn--/",
        b"http://\xff\xfe/",
        b"http://a..b/",
        b"mailto:someone@example.org",
        b"javascript:alert(1)",
        b"http://user:password@example.org/",
        b"/" + b"x" * 3_000,
        b"http://127.1/",
        "http://①27.0.0.1/".encode(),
        b"http:\\\\localhost\\x",
        b"//[::ffff:7f00:1]/",
        b"//example.org:99999",
        b"//example.org:+80/",
        b"//example.org:8 0/",
        "//example.org:٨٠/".encode(),
        b"//[",
        b"//]",
        b"//[]/",
        b"//[::1]x/",
        b"//[::1%25lo]/",
        b"//a|b/",
        b"//a%b/",
        b"//a b/",
        b"//example.org%2fx",
        b"//.",
        b"//..",
        b"//",
        "//\u00ad/".encode(),
        "//a\u200db/".encode(),
        "//xn--b\u00fccher.example".encode(),
        ("//" + "\u00fc" * 60 + ".example/").encode(),
        b"http://127.0.0.1\\@example.org",
        b"http://2852039166/",
        b"http://%31%32%37.1/",
        b"file:///etc/passwd",
        b"data:text/html,x",
    ],
)
def test_a_malformed_or_private_redirect_is_refused(location: bytes) -> None:
    with pytest.raises(UrlRefusedError, match=r"the redirect to .* is refused"):
        resolve_redirect(START, location)
