"""Makes a share of a process's AWS calls fail, below botocore's own retries, and writes a line for each call.

throttled    refused with the service's throttling error, before it is sent
broken       answered 500, before it is sent
unreachable  the connection fails, before it is sent
unanswered   sent and done, but its answer is lost
"""

import io
import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

FAULTS = ("throttled", "broken", "unreachable", "unanswered")
SWITCH = "faults-are-on"
"""While a file of this name is in the campaign's folder, calls fail."""
CALLS = "calls.log"


class ClientFaults:
    """Decides call by call. Safe to share between threads."""

    def __init__(self, folder: Path, percent: float, seed: str) -> None:
        self._switch = folder / SWITCH
        self._log = os.open(folder / CALLS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._share = percent / 100
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def draw(self) -> str | None:
        """The fault of the next call; None if it is to pass."""
        if not self._switch.exists():
            return None
        with self._lock:
            return self._random.choice(FAULTS) if self._random.random() < self._share else None

    def record(self, operation: str, fault: str | None) -> None:
        """Append the call to the log: one write, so that the lines of many processes stay whole."""
        if self._switch.exists():
            os.write(self._log, f"{operation} {fault or 'passed'}\n".encode())


class Body(io.BytesIO):
    """An answer's body as botocore reads it."""

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self.read()


def install(httpsession: ModuleType) -> None:
    """Let each call of botocore's HTTP sessions pass through faults."""
    from botocore.awsrequest import AWSResponse
    from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

    faults = ClientFaults(
        Path(os.environ["CAMPAIGN_FOLDER"]),
        float(os.environ["CAMPAIGN_FAULT_PERCENT"]),
        f"{os.environ['CAMPAIGN_SEED']}/{os.getpid()}",
    )
    send = httpsession.URLLib3Session.send

    def send_with_faults(session: Any, request: Any) -> Any:
        operation, fault = name_operation(request.headers), faults.draw()
        faults.record(operation, fault)
        if fault in ("throttled", "broken"):
            status, headers, body = refuse(operation, fault)
            return AWSResponse(request.url, status, headers, Body(body))
        if fault == "unreachable":
            raise EndpointConnectionError(endpoint_url=request.url)
        response = send(session, request)
        if fault == "unanswered":
            raise ReadTimeoutError(endpoint_url=request.url)
        return response

    httpsession.URLLib3Session.send = send_with_faults


def name_operation(headers: Any) -> str:
    """Name the operation as `dynamodb.UpdateItem`; a call of S3, whose headers do not name it, is `s3.Call`."""
    target = headers.get("X-Amz-Target", b"s3.Call")
    text = target.decode() if isinstance(target, bytes) else str(target)
    service, _, operation = text.partition(".")
    return f"{service.removeprefix('Amazon').partition('_')[0].lower()}.{operation}"


def refuse(operation: str, fault: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the error of that fault, in the service's own form."""
    if operation.startswith("s3."):
        status, code = (503, "SlowDown") if fault == "throttled" else (500, "InternalError")
        xml = f"<Error><Code>{code}</Code><Message>injected</Message></Error>"
        return status, {"content-type": "application/xml"}, xml.encode()
    status, code = (400, "ThrottlingException") if fault == "throttled" else (500, "InternalServerError")
    return (
        status,
        {"content-type": "application/x-amz-json-1.0"},
        json.dumps({"__type": f"com.amazonaws#{code}", "message": "injected"}).encode(),
    )
