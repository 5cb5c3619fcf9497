"""Fetching against real servers: what is refused gets no hit, what is fetched is bounded in size, hops and time."""

import gzip
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from leaseway.outbound import names, sockets
from leaseway.outbound.fetching import FetchedResponse, FetchFailedError, fetch
from leaseway.outbound.urls import UrlRefusedError
from leaseway.settings import settings
from support.http_servers import CountingServer, Reply, run_counting_server, run_scripted_server

PUBLIC = "93.184.215.14"


@pytest.fixture
def tune(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def change(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name.upper(), str(value))
        settings.cache_clear()

    return change


@pytest.fixture
def server(tune: Callable[..., None]) -> Iterator[CountingServer]:
    with run_counting_server() as counting:
        tune(http_allowed_hosts=counting.pair)
        yield counting


@pytest.fixture
def private_server() -> Iterator[CountingServer]:
    """A server that answers, on an address that nothing allows."""
    with run_counting_server() as server:
        yield server


class Names:
    """The system's resolver, replaced: a name's answers come in turn, the last one for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.lookups: list[str] = []

    def look_up(self, host: bytes | str, port: int, **_: object) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        self.lookups.append(name)
        answers = self.answers.get(name)
        if answers is None:
            raise socket.gaierror(-2, "Name or service not known")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Names:
    resolver = Names()
    monkeypatch.setattr(socket, "getaddrinfo", resolver.look_up)
    return resolver


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every address to which a socket connects. Those beyond this machine are noted, then refused."""
    connect, addresses = socket.socket.connect, []

    def connect_and_note(self: socket.socket, address: tuple[str, int]) -> None:
        addresses.append(address)
        if not ip_address(address[0]).is_loopback:
            raise ConnectionRefusedError(111, "Connection refused")
        connect(self, address)

    monkeypatch.setattr(sockets.BoundedSocket, "connect", connect_and_note, raising=False)
    return addresses


def get(url: str, limit: int = 1_000, seconds: float = 30) -> FetchedResponse:
    end = time.monotonic() + seconds
    return fetch(url, limit=limit, remaining=lambda: end - time.monotonic())


# --- what an answer says


def test_an_answer_says_status_headers_body_and_size(server: CountingServer) -> None:
    server.replies["/a?b=c"] = Reply(200, b"body", {"X-Twice": "one", "Content-Type": "text/plain"})
    answer = get(server.url("/a?b=c#part"))
    assert (answer.status, answer.body, answer.size, answer.truncated) == (200, b"body", 4, False)
    assert (answer.redirects, answer.url) == (0, server.url("/a?b=c"))
    assert answer.headers["x-twice"] == "one"
    assert server.hits == ["/a?b=c"]


def test_the_request_names_the_host_and_brings_no_secret(server: CountingServer) -> None:
    get(server.url())
    assert server.requests[0][1] == {
        "host": server.pair,
        "user-agent": "leaseway",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        "connection": "close",
    }


@pytest.mark.parametrize("status", [204, 304, 404, 500, 503])
def test_any_status_is_an_answer_and_is_asked_for_once(server: CountingServer, status: int) -> None:
    server.replies["/"] = Reply(status, b"", {"Retry-After": "0"})
    assert get(server.url()).status == status
    assert server.hits == ["/"]


def test_a_body_is_cut_at_the_limit_and_says_so(server: CountingServer) -> None:
    server.replies["/"] = Reply(body=b"x" * 100_001)
    exact, cut = get(server.url(), limit=100_001), get(server.url(), limit=100_000)
    assert (exact.truncated, len(exact.body), exact.size) == (False, 100_001, 100_001)
    assert (cut.truncated, len(cut.body), cut.size) == (True, 100_000, 100_001)


def test_a_limit_of_nothing_keeps_nothing(server: CountingServer) -> None:
    answer = get(server.url(), limit=0)
    assert (answer.body, answer.truncated, answer.size) == (b"", True, 5)


def test_a_chunked_body_is_put_together(server: CountingServer) -> None:
    server.replies["/"] = Reply(body=b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", headers={"Transfer-Encoding": "chunked"})
    assert get(server.url()).body == b"abcde"


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_body_is_unpacked(server: CountingServer, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    server.replies["/"] = Reply(body=pack(b"hello " * 100), headers={"Content-Encoding": encoding})
    answer = get(server.url())
    assert (answer.body, answer.size) == (b"hello " * 100, 600)


def test_a_decompression_bomb_is_unpacked_no_further_than_the_limit(server: CountingServer) -> None:
    import tracemalloc

    # Given 200 MB of zeros in 200 KB
    server.replies["/"] = Reply(body=gzip.compress(b"\0" * 200_000_000, 9), headers={"Content-Encoding": "gzip"})
    # When they are fetched with a limit of 1,000 bytes
    tracemalloc.start()
    try:
        answer = get(server.url(), limit=1_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Then only about that is unpacked
    assert (answer.body, answer.truncated, answer.size) == (b"\0" * 1_000, True, None)
    assert peak < 8_000_000


def test_headers_are_bounded(server: CountingServer) -> None:
    server.replies["/"] = Reply(headers={f"X-{n}": "y" * 5_000 for n in range(7)})
    with pytest.raises(FetchFailedError, match="32768 bytes of headers"):
        get(server.url())


# --- redirects


def test_redirects_are_followed_and_counted(server: CountingServer) -> None:
    server.redirect("/1", server.url("/2"), 301)
    server.redirect("/2", "/3", 307)
    server.redirect("/3", "4?q=a b&ä", 303)
    answer = get(server.url("/1"))
    assert (answer.redirects, answer.status) == (3, 200)
    assert answer.url == server.url("/4?q=a%20b&%E4")
    assert server.hits == ["/1", "/2", "/3", "/4?q=a%20b&%E4"]


def test_a_redirect_without_a_place_is_an_answer(server: CountingServer) -> None:
    server.replies["/"] = Reply(302)
    assert get(server.url()).status == 302


def test_a_loop_of_redirects_ends(server: CountingServer, tune: Callable[..., None]) -> None:
    tune(http_redirects=3)
    server.redirect("/", "/")
    with pytest.raises(FetchFailedError, match="more than 3 redirects"):
        get(server.url())
    assert len(server.hits) == 4


def test_a_redirect_to_a_private_address_gets_no_hit(server: CountingServer, private_server: CountingServer) -> None:
    port = private_server.port
    for place in (
        private_server.url("/secret"),
        f"http://0x7f000001:{port}/",
        f"http://2130706433:{port}/",
        f"http://127.1:{port}/",
        f"http://[::ffff:127.0.0.1]:{port}/",
        f"//localhost:{port}/",
        f"http://me:pass@127.0.0.1:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
    ):
        server.redirect("/go", place)
        with pytest.raises(UrlRefusedError):
            get(server.url("/go"))
    assert private_server.hits == []


def test_a_redirect_to_a_name_that_is_private_gets_no_hit(
    server: CountingServer, private_server: CountingServer, resolver: Names
) -> None:
    resolver.answers["inside.example"] = [["127.0.0.1"]]
    server.redirect("/go", f"http://inside.example:{private_server.port}/")
    with pytest.raises(UrlRefusedError, match=r"inside\.example leads to an address that is not public"):
        get(server.url("/go"))
    assert private_server.hits == []
    assert resolver.lookups == ["inside.example"]


# --- names


@pytest.mark.parametrize("answer", [["127.0.0.1"], [PUBLIC, "127.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]])
def test_a_name_with_any_private_address_is_refused_before_it_is_connected_to(
    resolver: Names, connections: list[tuple[str, int]], private_server: CountingServer, answer: list[str]
) -> None:
    resolver.answers["rebound.example"] = [answer]
    with pytest.raises(UrlRefusedError) as refusal:
        get(f"http://rebound.example:{private_server.port}/")
    assert connections == []
    assert private_server.hits == []
    assert not any(address in str(refusal.value) for address in answer), "the refusal maps the inner network"


def test_a_name_that_changes_after_the_check_leads_nowhere_else(
    resolver: Names, connections: list[tuple[str, int]], private_server: CountingServer
) -> None:
    # Given a name that is public when it is first asked for, and this machine ever after
    resolver.answers["rebound.example"] = [[PUBLIC], ["127.0.0.1"]]
    # When it is fetched
    with pytest.raises(FetchFailedError, match="Connection refused"):
        get(f"http://rebound.example:{private_server.port}/")
    # Then the address that was checked is the only one connected to, and the name is not looked up again
    assert connections == [(PUBLIC, private_server.port)]
    assert resolver.lookups == ["rebound.example"]
    assert private_server.hits == []


def test_a_name_that_changes_between_two_hops_is_checked_again(
    resolver: Names, connections: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch, private_server: CountingServer
) -> None:
    # Given a public server, played by one of ours, that redirects to its own name; which by then is private
    with run_counting_server() as public:
        resolver.answers["rebound.example"] = [[PUBLIC], ["127.0.0.1"]]
        public.redirect("/", f"http://rebound.example:{private_server.port}/secret")
        watched = sockets.BoundedSocket.connect

        def play(self: socket.socket, address: tuple[str, int]) -> None:
            watched(self, ("127.0.0.1", public.port) if address[0] == PUBLIC else address)

        monkeypatch.setattr(sockets.BoundedSocket, "connect", play)
        with pytest.raises(UrlRefusedError):
            get("http://rebound.example/")
    assert resolver.lookups == ["rebound.example"] * 2
    assert connections == [("127.0.0.1", public.port)]
    assert private_server.hits == []


def test_every_address_of_a_name_is_tried_in_turn(
    resolver: Names, connections: list[tuple[str, int]], tune: Callable[..., None]
) -> None:
    with run_counting_server() as server:
        tune(http_allowed_hosts=f"two.example:{server.port}")
        resolver.answers["two.example"] = [[PUBLIC, "127.0.0.1"]]
        assert get(f"http://two.example:{server.port}/").status == 200
        assert connections == [(PUBLIC, server.port), ("127.0.0.1", server.port)]
        assert server.requests[0][1]["host"] == f"two.example:{server.port}"


def test_a_name_that_means_nothing_is_a_clear_error(resolver: Names) -> None:
    with pytest.raises(FetchFailedError, match=r"nowhere\.example:80: .*not known"):
        get("http://nowhere.example/")


def test_a_resolver_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(60) and [])
    began = time.monotonic()
    try:
        with pytest.raises(FetchFailedError, match="time ran out"):
            get("http://slow.example/", seconds=0.3)
        assert time.monotonic() - began < 20
    finally:
        answered.set()


def test_at_most_four_addresses_are_tried(resolver: Names, connections: list[tuple[str, int]]) -> None:
    resolver.answers["many.example"] = [[f"93.184.215.{n}" for n in range(20)]]
    with pytest.raises(FetchFailedError):
        get("http://many.example/")
    assert len(connections) == names.ADDRESSES_TRIED == 4


def test_no_proxy_of_the_environment_is_used(
    server: CountingServer, private_server: CountingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, private_server.url())
    assert get(server.url("/direct")).status == 200
    assert (server.hits, private_server.hits) == (["/direct"], [])


# --- time, and servers that misbehave


def fails_with(script: Callable[..., None], tune: Callable[..., None], seconds: float = 30, **values: object) -> str:
    with run_scripted_server(script) as (pair, peers):
        tune(http_allowed_hosts=pair, **values)
        with pytest.raises(FetchFailedError) as failure:
            get(f"http://{pair}/", limit=100_000, seconds=seconds)
        assert len(peers) == 1, "asked more than once"
    return str(failure.value)


def drip(start: bytes, drop: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def script(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(start)
        while not over.wait(0.05):
            connection.sendall(drop)

    return script


@pytest.mark.parametrize(
    "script",
    [
        drip(b"", b"H"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"[:1]),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
    ids=["status line", "header", "continue", "body", "chunks", "until closed"],
)
def test_a_server_that_drips_is_cut_off_when_the_time_is_over(
    script: Callable[..., None], tune: Callable[..., None]
) -> None:
    began = time.monotonic()
    assert "the job's time ran out" in fails_with(script, tune, seconds=0.6)
    assert time.monotonic() - began < 20


def test_a_server_that_says_nothing_is_left_after_the_timeout(tune: Callable[..., None]) -> None:
    began = time.monotonic()
    message = fails_with(lambda _, over: over.wait(60) and None, tune, http_timeout_ms=200)
    assert "no answer within 0.2 s" in message
    assert time.monotonic() - began < 20


def test_a_server_that_stops_in_the_body_is_left_after_the_timeout(tune: Callable[..., None]) -> None:
    def script(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        over.wait(60)

    assert "no answer within 0.2 s" in fails_with(script, tune, http_timeout_ms=200)


def test_nothing_begins_when_no_time_remains(server: CountingServer) -> None:
    with pytest.raises(FetchFailedError, match="time ran out"):
        get(server.url(), seconds=0)
    assert server.hits == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\xff garbage\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(9_000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: " + b"gzip, " * 50 + b"gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_a_broken_answer_is_a_clear_error(answer: bytes, tune: Callable[..., None]) -> None:
    message = fails_with(lambda connection, _: connection.sendall(answer), tune)
    assert message.startswith("127.0.0.1:")


@pytest.mark.parametrize("length", [b"9" * 5_000, b"-5", b"5, 6", b"x", b"5 5", b"0x5"])
def test_a_length_that_is_no_number_is_a_clear_error(length: bytes, tune: Callable[..., None]) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\nabcde"
    assert "the answer is malformed" in fails_with(lambda connection, _: connection.sendall(answer), tune)


def test_a_closed_port_is_a_clear_error(tune: Callable[..., None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        pair = f"127.0.0.1:{closed.getsockname()[1]}"
    tune(http_allowed_hosts=pair)
    with pytest.raises(FetchFailedError, match=f"{pair}: ConnectionRefusedError"):
        get(f"http://{pair}/")


# --- TLS


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ssl.SSLContext]]:
    """Makes certificates that the system trusts for the length of a test."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
    now = datetime.now(UTC)

    def certificate(subject: x509.Name, names_: list[x509.GeneralName], authority: bool) -> bytes:
        builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        if names_:
            builder = builder.add_extension(x509.SubjectAlternativeName(names_), critical=False)
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def server_context(host: str) -> ssl.SSLContext:
        leaf = certificate(x509.Name([]), [x509.DNSName(host)], authority=False)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (tmp_path / "server.pem").write_bytes(secret + leaf)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.pem")
        return context

    (tmp_path / "authority.pem").write_bytes(certificate(issuer, [], authority=True))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    sockets.load_trust.cache_clear()
    yield server_context
    sockets.load_trust.cache_clear()


def test_https_asks_for_and_checks_the_certificate_of_the_name(
    certificates: Callable[[str], ssl.SSLContext], resolver: Names, tune: Callable[..., None]
) -> None:
    # Given a server that notes the name in each handshake
    context, names = certificates("shop.example"), []
    context.sni_callback = lambda _, name, __: names.append(name)
    with run_counting_server(lambda plain: context.wrap_socket(plain, server_side=True)) as server:
        tune(http_allowed_hosts=f"shop.example:{server.port},other.example:{server.port}")
        resolver.answers = {"shop.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]}
        # Then its own name works although the connection goes to an address
        assert get(f"https://shop.example:{server.port}/").body == b"hello"
        assert server.requests[0][1]["host"] == f"shop.example:{server.port}"
        # And another name for the same address does not
        with pytest.raises(FetchFailedError, match="certificate is not valid"):
            get(f"https://other.example:{server.port}/")
        assert names == ["shop.example", "other.example"]
        assert server.hits == ["/"]


def test_a_certificate_of_an_unknown_authority_is_refused(
    certificates: Callable[[str], ssl.SSLContext],
    resolver: Names,
    tune: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = certificates("shop.example")
    monkeypatch.delenv("SSL_CERT_FILE")
    sockets.load_trust.cache_clear()
    with run_counting_server(lambda plain: context.wrap_socket(plain, server_side=True)) as server:
        tune(http_allowed_hosts=f"shop.example:{server.port}")
        resolver.answers = {"shop.example": [["127.0.0.1"]]}
        with pytest.raises(FetchFailedError, match="certificate is not valid"):
            get(f"https://shop.example:{server.port}/")
        assert server.hits == []


def test_a_server_that_drips_over_tls_is_cut_off_too(
    certificates: Callable[[str], ssl.SSLContext], resolver: Names, tune: Callable[..., None]
) -> None:
    context = certificates("shop.example")

    def script(connection: socket.socket, over: threading.Event) -> None:
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n", b"x")(connection, over)

    with run_scripted_server(script, lambda plain: context.wrap_socket(plain, server_side=True)) as (pair, _):
        port = pair.rpartition(":")[2]
        tune(http_allowed_hosts=f"shop.example:{port}")
        resolver.answers = {"shop.example": [["127.0.0.1"]]}
        began = time.monotonic()
        with pytest.raises(FetchFailedError, match="time ran out"):
            get(f"https://shop.example:{port}/", seconds=0.8)
        assert time.monotonic() - began < 20


def test_a_server_that_never_shakes_hands_is_cut_off(tune: Callable[..., None]) -> None:
    with run_scripted_server(lambda _, over: over.wait(60) and None) as (pair, _):
        tune(http_allowed_hosts=pair)
        began = time.monotonic()
        with pytest.raises(FetchFailedError, match="time ran out"):
            get(f"https://{pair}/", seconds=0.5)
        assert time.monotonic() - began < 20
