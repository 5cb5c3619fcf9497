"""Which addresses and URLs may be asked for, decided without any network."""

import ipaddress

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseway.outbound.addresses import is_public
from leaseway.outbound.urls import UrlRefusedError, check_url
from leaseway.settings import settings

PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "223.255.255.255"]
PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
]


@pytest.mark.parametrize("address", [*PUBLIC, "2606:4700:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *PRIVATE,
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",  # the metadata service of EC2
        "fec0::1",
        "ff02::1",
        "100::1",
        "2001:db8::1",
        "2001::1",  # Teredo
        "2001:0:7f00:1::",
        "3fff::1",
        "64:ff9b:1::1",
        "4000::1",
        "::7f00:1",
        "::ffff:0:7f00:1",
    ],
)
def test_addresses_of_no_public_network_are_not(address: str) -> None:
    assert not is_public(address)


def spellings(address: str) -> list[str]:
    number = int(ipaddress.IPv4Address(address))
    high, low = number >> 16, number & 0xFFFF
    return [f"::ffff:{address}", f"64:ff9b::{address}", f"2002:{high:x}:{low:x}::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_inside_an_ipv6_one_is_found(address: str) -> None:
    assert [is_public(spelling) for spelling in spellings(address)] == [False] * 3


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_inside_an_ipv6_one_is_public(address: str) -> None:
    assert [is_public(spelling) for spelling in spellings(address)] == [True] * 3


@given(st.ip_addresses())
def test_nothing_passes_that_the_standard_library_calls_private(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_public(str(address)):
        assert not address.is_loopback
        assert not address.is_link_local
        assert not address.is_multicast
        assert not address.is_unspecified
        assert not address.is_private


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("http://example.org", "example.org", 80, "/", "example.org"),
        ("HTTPS://Example.ORG:443/A?b=c&d#frag", "example.org", 443, "/A?b=c&d", "example.org"),
        ("http://example.org:8080/%20?", "example.org", 8080, "/%20", "example.org:8080"),
        ("https://1.1.1.1/", "1.1.1.1", 443, "/", "1.1.1.1"),
        ("http://[2606:4700:4700:0::1111]:81/", "2606:4700:4700::1111", 81, "/", "[2606:4700:4700::1111]:81"),
        ("http://xn--bcher-kva.example./", "xn--bcher-kva.example.", 80, "/", "xn--bcher-kva.example."),
        ("http://example.org?q=1", "example.org", 80, "/?q=1", "example.org"),
        ("http:///example.org/path", "example.org", 80, "/path", "example.org"),
        ("http://@example.org/", "example.org", 80, "/", "example.org"),
        ("http://example.org\\@127.0.0.1/", "example.org", 80, "/@127.0.0.1/", "example.org"),
        (" http://example.org/a b?c d", "example.org", 80, "/a%20b?c%20d", "example.org"),
        ("http://exa%6dple。org/ü", "example.org", 80, "/%C3%BC", "example.org"),
        ("http://example.org/a/../b|c?d=e|f", "example.org", 80, "/b|c?d=e|f", "example.org"),
        ("http://bücher.example/", "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"),
        ("http://BÜCHER.Example:81/", "xn--bcher-kva.example", 81, "/", "xn--bcher-kva.example:81"),
        ("http://XN--BCHER-KVA.example/", "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"),
        ("http://b%C3%BCcher.example/", "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"),
        ("http://пример.испытание/", "xn--e1afmkfd.xn--80akhbyknj4f", 80, "/", "xn--e1afmkfd.xn--80akhbyknj4f"),
        ("https://例え.テスト/あ", "xn--r8jz45g.xn--zckzah", 443, "/%E3%81%82", "xn--r8jz45g.xn--zckzah"),
        ("http://straße.example/", "xn--strae-oqa.example", 80, "/", "xn--strae-oqa.example"),
        ("http://a_b.example.org/", "a_b.example.org", 80, "/", "a_b.example.org"),
    ],
)
def test_a_url_is_taken_apart_once(url: str, host: str, port: int, path: str, authority: str) -> None:
    target = check_url(url)
    assert (target.host, target.port, target.path, target.authority) == (host, port, path, authority)
    assert check_url(target.url) == target


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "//example.org/",
        "example.org",
        "http:",
        "http://",
        "http://:80/",
        "javascript:alert(1)",
        "http://user@example.org/",
        "http://user:secret@example.org/",
        "http://example.org@127.0.0.1/",
        "http://example.org/\r\nHost: other",
        "http://example.org/\0",
        "http://[",
        "http://]/",
        "http://[::1]:x/",
        "http://[1::2::3]/",
        "http://xn--/",
        "http://a%00b/",
        "http://\ud800/",
        "http://example.org/" + "ü" * 700,
        "http://exa\tmple.org/",
        "http://example.org:0/",
        "http://example.org:65536/",
        "http://example.org:-1/",
        "http://example.org:eighty/",
        "http://.example.org/",
        "http://a..b/",
        "http://" + "a" * 64 + ".org/",
        "http://" + "a." * 127 + "org/",
        "http://[::1/",
        "http://[example.org]/",
        "http://[fe80::1%25eth0]/",
        "http://example.org/" + "x" * 2048,
        "",
    ],
)
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(UrlRefusedError) as refusal:
        check_url(url, field="payload.url")
    assert refusal.value.field == "payload.url"


@pytest.mark.parametrize(
    "host",
    [
        *PRIVATE,
        "0x7f000001",
        "0x7f.0.0.1",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "127.0.0.01",
        "0",
        "0x",
        "1.1",  # public if it were spelt out, but only four decimals are an address
        "1.1.1.1.1",
        "256.1.1.1",
        "①27.0.0.1",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "localhost",
        "\uff4cocalhost",  # a letter of full width
        "LOCALHOST",
        "localhost.",
        "anything.localhost",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fd00:ec2::254]",
    ],
)
@pytest.mark.parametrize("template", ["http://{}/", "https://{}:4566/path"])
def test_every_spelling_of_a_private_address_is_refused_before_any_look_up(host: str, template: str) -> None:
    with pytest.raises(UrlRefusedError):
        check_url(template.format(host))


@pytest.mark.parametrize("host", ["localhost.example.org", "mylocalhost", "metadata.google.internal", "7.example.org"])
def test_names_are_left_to_the_look_up(host: str) -> None:
    assert not check_url(f"http://{host}/").is_literal


def test_only_the_exact_pair_of_the_setting_may_be_private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_ALLOWED_HOSTS", "127.0.0.1:8000, LocalHost:8001,[::1]:8002,intranet.example:80")
    settings.cache_clear()
    for url in ("http://127.0.0.1:8000/", "https://localhost:8001/", "http://[0::1]:8002/", "http://intranet.example/"):
        assert check_url(url).is_allowed_private
    for url in ("http://127.0.0.1/", "http://127.0.0.1:8001/", "http://localhost:8000/", "http://0x7f000001:8000/"):
        with pytest.raises(UrlRefusedError):
            check_url(url)
    assert not check_url("https://intranet.example/").is_allowed_private


def test_no_private_pair_is_allowed_unless_the_setting_says_so() -> None:
    assert settings().http_allowed_hosts == ""
    assert not check_url("http://example.org/").is_allowed_private


@given(st.text())
def test_any_text_is_a_url_or_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"http://{text}/", f"http://example.org/{text}"):
        try:
            target = check_url(url)
        except UrlRefusedError:
            continue
        assert target.url.isascii()
        h11.Request(method="GET", target=target.path, headers=[("Host", target.authority)])  # raises if it is no HTTP
        assert target.path.startswith("/")
