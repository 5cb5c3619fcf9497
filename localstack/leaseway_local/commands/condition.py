"""How each part of a deployment does: engine, stack, API, functions and the mappings that feed them, queues."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from leaseway_local.connection import outputs
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.deployment import template
from leaseway_local.deployment.stacks import Stack
from leaseway_local.engine.engine import Engine
from leaseway_local.engine.places import DEFAULT_STACK, default_home
from leaseway_local.errors import LocalCloudError
from leaseway_local.monitoring.monitor import Monitor

_QUEUE_URL = "QueueUrl"
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class Part:
    """One part: `state` is a word or two, `well` whether it is as it should be."""

    name: str
    state: str
    well: bool
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


def parts(target: Target) -> list[Part]:
    """The parts of a target. Reads only; a part that cannot be asked is reported, not raised."""
    if target is not Target.LOCAL:
        return list(_deployed(Clients(target)))
    engine = Engine(default_home())
    first = _engine(engine)
    record = engine.running()
    return [
        first,
        _monitor(Monitor(default_home())),
        *(_deployed(Clients(target, record.host)) if record and first.well else ()),
    ]


def _engine(engine: Engine) -> Part:
    record = engine.record()
    if record is None:
        return Part("engine", "stopped", False, "`leaseway up` starts it")
    if not record.alive():
        return Part("engine", "died", False, f"pid {record.pid} is gone; its log is {engine.home.log}")
    if not engine.answers(record):
        return Part("engine", "stuck", False, f"pid {record.pid} does not answer on {record.host}")
    minutes = (time.time() - record.started_at) / 60
    warm = len(engine.functions())
    return Part("engine", "running", True, f"{record.host}, pid {record.pid}, {minutes:.0f} min, {warm} warm functions")


def _monitor(monitor: Monitor) -> Part:
    record = monitor.running()
    if record is None:
        return Part("monitor", "stopped", False, "no metrics are forwarded; `leaseway up` starts it")
    answers = monitor.answers(record)
    return Part("monitor", "running" if answers else "stuck", answers, f"{record.url}, pid {record.pid}")


def _deployed(clients: Clients) -> Iterator[Part]:
    yield _asked("stack", lambda: _stack(clients))
    try:
        found = outputs.fetch(clients)
    except (LocalCloudError, ClientError, BotoCoreError):
        return
    yield _asked("API", lambda: _api(found, local=clients.local))
    source = template.read()
    for name in template.function_names(source):
        polled = len(template.event_sources(source, name))
        yield _asked(name, partial(_function, clients, found, name, polled))
    for output in (name for name in found.values if name.endswith(_QUEUE_URL)):
        name = _WORD.sub(" ", output.removesuffix("Url")).lower()
        yield _asked(name, partial(_queue, clients, name, found[output]))


def _asked(name: str, ask: Callable[[], Part]) -> Part:
    try:
        return ask()
    except (ClientError, BotoCoreError, httpx.HTTPError) as problem:
        return Part(name, "missing", False, str(problem)[:120])


def _stack(clients: Clients) -> Part:
    found = Stack(clients.get("cloudformation"), DEFAULT_STACK, poll=1).describe()
    state = str(found["StackStatus"]) if found else "not deployed"
    return Part("stack", state.lower(), state in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), DEFAULT_STACK)


def _api(found: Outputs, *, local: bool) -> Part:
    reply = httpx.get(f"{found.api_url}/health", timeout=30, trust_env=not local)
    return Part("API", "answers" if reply.is_success else f"HTTP {reply.status_code}", reply.is_success, found.api_url)


def _function(clients: Clients, found: Outputs, name: str, event_sources: int) -> Part:
    if name not in found.values:
        return Part(name, "missing", False, "the deployed stack has no such function; `leaseway deploy` adds it")
    functions = clients.get("lambda")
    state = str(functions.get_function_configuration(FunctionName=found[name]).get("State", "Active"))
    mappings = functions.list_event_source_mappings(FunctionName=found[name])["EventSourceMappings"]
    problems = [
        f"an event source is {mapping['State'].lower()}"
        for mapping in mappings
        if mapping["State"] not in ("Enabled", "Creating")
    ]
    if len(mappings) < event_sources:
        problems.append(f"{event_sources - len(mappings)} of {event_sources} event sources missing")
    return Part(name, state.lower(), state == "Active" and not problems, ", ".join([found[name], *problems]))


def _queue(clients: Clients, name: str, url: str) -> Part:
    wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    held = clients.get("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
    return Part(name, "there", True, f"{held[wanted[0]]} waiting, {held[wanted[1]]} in work or hidden")
