"""Hostile requests and how each is refused. Unit and integration tests share the table."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

VICTIM = "victim"
"""The account that must keep its balance."""

KIB = 1024
JSON = "application/json"


@dataclass(frozen=True)
class HostileRequest:
    """One request and its refusal."""

    name: str
    method: str
    route: str
    status: int
    code: str
    wrong: str | None = None
    """The member that the problem names."""
    path: dict[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    content_type: str | None = JSON

    @property
    def url(self) -> str:
        """The path as a client sends it: every character of a parameter escaped."""
        url = self.route
        for name, value in self.path.items():
            url = url.replace(f"{{{name}}}", quote(value, safe=""))
        return url


def _make_post(
    route: str, name: str, body: str | bytes, refusal: tuple[int, str, str | None], **parts: Any
) -> HostileRequest:
    status, code, wrong = refusal
    raw = body.encode() if isinstance(body, str) else body
    return HostileRequest(name, "POST", route, status, code, wrong, body=raw, **parts)


UPDATE, USERS, JOBS, UPLOADS = "/api/users/update-balance", "/api/users", "/api/v1/jobs", "/api/v1/uploads"


def refuse_as_invalid(wrong: str | None = None) -> tuple[int, str, str | None]:
    return 400, "INVALID_INPUT", wrong


def vary_bodies() -> Iterator[HostileRequest]:
    whole = f'{{"userId": "{VICTIM}", "amount": 1}}'
    bodies: dict[str, str | bytes] = {
        "empty": "",
        "blank": "  \n ",
        "cut short": whole[:-1],
        "trailing text": whole + "x",
        "two documents": whole + whole,
        "single quotes": whole.replace('"', "'"),
        "trailing comma": whole[:-1] + ",}",
        "comment": whole[:-1] + "/**/}",
        "byte order mark": b"\xef\xbb\xbf" + whole.encode(),
        "UTF-16": whole.encode("utf-16"),
        "not UTF-8": whole.encode().replace(b"victim", b"vi\xffctim"),
        "lone surrogate": whole.replace(VICTIM, "\\ud800"),
        "lone surrogate inside": whole.replace(VICTIM, "vic\\udc00tim"),
        "raw control character": whole.replace(VICTIM, "vic\x01tim"),
        "null": "null",
        "a list": f"[{whole}]",
        "text": '"text"',
        "a number": "5",
        "deep lists": "[" * 50_000 + "]" * 50_000,
        "deep objects": '{"a":' * 20_000 + "1" + "}" * 20_000,
        "deep amount": f'{{"userId": "{VICTIM}", "amount": {"[" * 50_000}{"]" * 50_000}}}',
        "form": f"userId={VICTIM}&amount=1",
        "XML": f"<userId>{VICTIM}</userId>",
    }
    for name, body in bodies.items():
        yield _make_post(UPDATE, f"body: {name}", body, refuse_as_invalid())
    for size in (300 * KIB, 256 * KIB + 1):
        padded = whole + " " * (size - len(whole))
        yield _make_post(UPDATE, f"body: {size} bytes", padded, (413, "BODY_TOO_LARGE", None))
    long = f'{{"userId": "{VICTIM}", "amount": 1, "reference": "{"x" * 300 * KIB}"}}'
    yield _make_post(UPDATE, "body: long reference", long, (413, "BODY_TOO_LARGE", None))


def vary_members() -> Iterator[HostileRequest]:
    whole = f'"userId": "{VICTIM}", "amount": 1'
    cases = {
        "no amount": (f'"userId": "{VICTIM}"', "amount"),
        "no user": ('"amount": 1', "userId"),
        "unknown member": (whole + ', "currency": "EUR"', "currency"),
        "member in capitals": (f'"userId": "{VICTIM}", "Amount": 1', "Amount"),
        "prototype": (whole + ', "__proto__": {}', "__proto__"),
        "repeated amount": (whole + ', "amount": 2', "amount"),
        "repeated by escape": (whole + ', "amoun\\u0074": 2', "amount"),
        "reference is a number": (whole + ', "reference": 5', "reference"),
        "reference is empty": (whole + ', "reference": ""', "reference"),
        "reference is long": (whole + f', "reference": "{"x" * 201}"', "reference"),
        "reference with a null byte": (whole + ', "reference": "a\\u0000b"', "reference"),
        "reference with a line end": (whole + ', "reference": "a\\n"', "reference"),
    }
    for name, (text, wrong) in cases.items():
        yield _make_post(UPDATE, f"members: {name}", f"{{{text}}}", refuse_as_invalid(wrong))


def vary_user_ids() -> Iterator[HostileRequest]:
    wrong = {
        *("null", "true", "1.5", "1e2", "{}", "[]", "-1", '""', '" "', '"a b"', '"a/b"', '"../a"', '"."', '".."'),
        *('"a\\"b"', '"a\'b"', '"a\\\\b"', '"a%2Fb"', '"a#b"', '"a?b"', '"a\\u0000"', '"victim\\n"', '"vict\\u0131m"'),
        *(f'"{"x" * 129}"', "9" * 200, '"-1"', '"${jndi:x}"', '"<b>"', '"a;b"'),
    }
    for text in sorted(wrong):
        yield _make_post(
            UPDATE, f"userId: {text[:20]}", f'{{"userId": {text}, "amount": 1}}', refuse_as_invalid("userId")
        )
        yield _make_post(USERS, f"new userId: {text[:20]}", f'{{"userId": {text}}}', refuse_as_invalid("userId"))
    yield _make_post(
        UPDATE, "userId: 5,000 digits", f'{{"userId": {"9" * 5_000}, "amount": 1}}', refuse_as_invalid("userId")
    )


def vary_amounts() -> Iterator[HostileRequest]:
    not_amounts = {
        *("null", "true", "{}", "[]", "[1]", '""', '"abc"', '"1,5"', '" 1"', '"1 "', '"1_0"', '"0x10"', '"+1"', '"01"'),
        *('".5"', '"1."', '"NaN"', '"nan"', '"sNaN"', '"Infinity"', '"-Infinity"', '"inf"', '"\\u0661"', '"1\\u0000"'),
        *("1e9999", "1e999999999", '"1e999999999"', "9" * 400),
    }
    bad_values = {
        *(
            "1e400",
            "-1e400",
            '"1e400"',
            "1e308",
            "9999999999999",
            "-0.001",
            "0.001",
            "1.005",
            "1e-400",
            '"-0.001"',
            "1e-3",
        ),
        *("0.1000000000000000055511151231257827", "123456789012345678901234567890", "10000000000.01"),
    }
    for text in sorted(not_amounts | bad_values | {"0", "-0", "0.00", '"0"', "0e5"}):
        yield _make_post(
            UPDATE, f"amount: {text[:20]}", f'{{"userId": "{VICTIM}", "amount": {text}}}', refuse_as_invalid("amount")
        )
    for text in ("NaN", "Infinity", "-Infinity", "+1", "01", ".5", "1.", "0x10", "1_0", "--1", "1e", "'1'"):
        yield _make_post(UPDATE, f"amount: {text}", f'{{"userId": "{VICTIM}", "amount": {text}}}', refuse_as_invalid())
    for text in sorted(not_amounts | bad_values | {"-1", "-0.01"}):
        yield _make_post(
            USERS, f"opening: {text[:20]}", f'{{"userId": "fresh", "balance": {text}}}', refuse_as_invalid("balance")
        )


def vary_new_jobs() -> Iterator[HostileRequest]:
    sleep = '"type": "SLEEP", "payload": {"duration_ms": 1}'
    cases = {
        "no type": ('"payload": {}', "type"),
        "no payload": ('"type": "SLEEP"', "payload"),
        "type is a number": ('"type": 5, "payload": {}', "type"),
        "type is long": (f'"type": "{"X" * 65}", "payload": {{}}', "type"),
        "payload is a list": ('"type": "SLEEP", "payload": []', "payload"),
        "payload is text": ('"type": "SLEEP", "payload": "{}"', "payload"),
        "payload is null": ('"type": "SLEEP", "payload": null', "payload"),
        "payload lacks a member": ('"type": "SLEEP", "payload": {}', "payload.duration_ms"),
        "payload has an unknown member": (sleep.replace("1}", '1, "x": 1}'), "payload.x"),
        "payload repeats a member": (sleep.replace("1}", '1, "duration_ms": 2}'), "duration_ms"),
        "duration is negative": (sleep.replace("1}", "-1}"), "payload.duration_ms"),
        "duration is text": (sleep.replace("1}", '"1"}'), "payload.duration_ms"),
        "duration is a fraction": (sleep.replace("1}", "1.5}"), "payload.duration_ms"),
        "duration is huge": (sleep.replace("1}", "9" * 30 + "}"), "payload.duration_ms"),
        "ttl is zero": (sleep + ', "ttl_ms": 0', "ttl_ms"),
        "ttl is negative": (sleep + ', "ttl_ms": -1', "ttl_ms"),
        "ttl is text": (sleep + ', "ttl_ms": "1000"', "ttl_ms"),
        "ttl is a fraction": (sleep + ', "ttl_ms": 1000.5', "ttl_ms"),
        "ttl is true": (sleep + ', "ttl_ms": true', "ttl_ms"),
        "no attempts": (sleep + ', "max_attempts": 0', "max_attempts"),
        "too many attempts": (sleep + ', "max_attempts": 21', "max_attempts"),
        "another owner": (sleep + ', "owner": "root"', "owner"),
        "own id": (sleep + ', "id": "0"', "id"),
        "own status": (sleep + ', "status": "COMPLETED"', "status"),
    }
    for name, (text, wrong) in cases.items():
        yield _make_post(JOBS, f"job: {name}", f"{{{text}}}", refuse_as_invalid(wrong))
    for text in ("NOPE", "sleep", "SLEEP ", "", "SLEEP\\u0000", "../sleep", "__init__"):
        body = f'{{"type": "{text}", "payload": {{}}}}'
        yield _make_post(JOBS, f"job: type {text!r}", body, (400, "UNKNOWN_JOB_TYPE", "type"))
    for text in ("840001", "1000000000", "9" * 30):
        body = f'{{{sleep}, "ttl_ms": {text}}}'
        yield _make_post(JOBS, f"job: ttl of {text[:12]} ms", body, (400, "TTL_TOO_LONG", "ttl_ms"))
    deep = '{"duration_ms": ' + '{"a":' * 20_000 + "1" + "}" * 20_001
    yield _make_post(JOBS, "job: deep payload", f'{{"type": "SLEEP", "payload": {deep}}}', refuse_as_invalid())
    yield _make_post(JOBS, "job: payload out of range", f"{{{sleep.replace('1}', '1e400}')}}}", refuse_as_invalid())


def vary_new_uploads() -> Iterator[HostileRequest]:
    cases = {
        "another type": ('"content_type": "text/html", "size": 1', "content_type"),
        "type in capitals": ('"content_type": "IMAGE/PNG", "size": 1', "content_type"),
        "type with a line end": ('"content_type": "image/png\\r\\nx: y", "size": 1', "content_type"),
        "size zero": ('"content_type": "image/png", "size": 0', "size"),
        "negative size": ('"content_type": "image/png", "size": -1', "size"),
        "a terabyte": ('"content_type": "image/png", "size": 1000000000000', "size"),
        "size as text": ('"content_type": "image/png", "size": "1"', "size"),
        "size as a fraction": ('"content_type": "image/png", "size": 1.5', "size"),
        "own key": ('"content_type": "image/png", "size": 1, "key": "owners/root/x"', "key"),
    }
    for name, (text, wrong) in cases.items():
        yield _make_post(UPLOADS, f"upload: {name}", f"{{{text}}}", refuse_as_invalid(wrong))


def vary_media_types() -> Iterator[HostileRequest]:
    whole = f'{{"userId": "{VICTIM}", "amount": 1}}'
    kinds = ("text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data; boundary=x")
    for kind in (*kinds, "application/jsonp", "text/json", "json", "*/*"):
        refusal = (415, "UNSUPPORTED_MEDIA_TYPE", None)
        yield _make_post(UPDATE, f"content type: {kind}", whole, refusal, content_type=kind)


def vary_ids() -> Iterator[HostileRequest]:
    strange = ("a/b", "../../etc/passwd", 'a"b', "a'b", "a b", "a\\b", "a%2Fb", "a\x00b", "a\nb", "<b>", "é", "x" * 129)
    for user in strange:
        path = {"userId": user}
        yield HostileRequest(
            f"balance of {user[:20]!r}", "GET", "/api/users/{userId}/balance", 400, "INVALID_INPUT", "userId", path
        )
    for job in (*strange, "0" * 31, "0" * 33, "G" * 32, "A" * 32, "0" * 32 + "\n", "0" * 3_000):
        for route in ("/api/v1/jobs/{id}", "/api/v1/jobs/{id}/result"):
            yield HostileRequest(f"{route} of {job[:20]!r}", "GET", route, 404, "JOB_NOT_FOUND", path={"id": job})
    for asset in (*strange, "..", "../app.py", "index.html"):
        yield HostileRequest(
            f"docs: {asset[:20]!r}", "GET", "/docs/{asset}", 404, "ASSET_NOT_FOUND", path={"asset": asset}
        )


def vary_lists() -> Iterator[HostileRequest]:
    numbers = ("", " 1", "abc", "1.5", "1e1", "0x1", "+1", "1_0", "\u0661", "NaN", "null", "1\x00", "1;2")
    wrong: dict[str, tuple[str, ...]] = {
        "size": (*numbers, "-1", "0", "101", "1000000000", "9" * 18, "9" * 30, "-9999999999999999999"),
        "page": (*numbers, "-1", "9" * 30),
        "status": ("", "completed", "DONE", "COMPLETED ", "COMPLETED,FAILED", "*", "' OR 1=1", "\x00", "x" * 3_000),
        "type": ("x" * 65,),
        "owner": ("x" * 129,),
        "Size": ("1",),
        "sort": ("created_at",),
        "": ("1",),
    }
    for name, values in wrong.items():
        for value in values:
            yield _make_list_request(f"{name}={value[:20]!r}", 400, "INVALID_INPUT", name or None, (name, value))
    for value in (
        "",
        "x",
        "AAAA",
        "!!!!",
        "a" * 24,
        "a" * 4_000,
        "\u00e9",
        "..",
        "eyJhIjoxfQ==",
        "null",
        "0",
        "%00",
        "a\x00",
    ):
        yield _make_list_request(f"cursor={value[:20]!r}", 400, "INVALID_CURSOR", "cursor", ("cursor", value))
    for page, size in (("11", "100"), ("1001", "1"), ("1000000000", "1"), ("9" * 18, "100")):
        yield _make_list_request(f"page {page} of {size}", 400, "USE_CURSOR", "page", ("page", page), ("size", size))
    yield _make_list_request("size twice", 400, "INVALID_INPUT", "size", ("size", "1"), ("size", "2"))
    yield _make_list_request("page and cursor", 400, "INVALID_INPUT", "page", ("page", "0"), ("cursor", "x"))
    yield _make_list_request("everybody's of any status", 400, "INVALID_INPUT", "status", ("owner", "*"))


def _make_list_request(name: str, status: int, code: str, wrong: str | None, *query: tuple[str, str]) -> HostileRequest:
    return HostileRequest(f"list: {name}", "GET", JOBS, status, code, wrong, query=query)


def vary_methods() -> Iterator[HostileRequest]:
    for method, route in (
        ("DELETE", USERS),
        ("GET", UPDATE),
        ("PUT", UPDATE),
        ("PATCH", UPDATE),
        ("DELETE", JOBS),
        ("POST", "/health"),
        ("POST", "/openapi.json"),
    ):
        yield HostileRequest(f"{method} {route}", method, route, 405, "METHOD_NOT_ALLOWED", body=b"{}")


TABLES = (
    vary_bodies,
    vary_members,
    vary_user_ids,
    vary_amounts,
    vary_new_jobs,
    vary_new_uploads,
    vary_media_types,
    vary_ids,
    vary_lists,
    vary_methods,
)
