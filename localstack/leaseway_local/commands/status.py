"""`leaseway status`: the state of engine, stack, API, functions with their event sources, and queues."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final, TypedDict

import httpx
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Column, Table
from rich.text import Text

from leaseway_local.answer_checks import check_answer
from leaseway_local.commands.options import JsonOption, TargetOption
from leaseway_local.connection import outputs
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.deployment import template
from leaseway_local.deployment.stacks import Stack
from leaseway_local.engine.ministack import Engine
from leaseway_local.engine.paths import DEFAULT_STACK, default_home
from leaseway_local.errors import LocalCloudError
from leaseway_local.monitoring.monitor import Monitor, dashboard_url
from leaseway_local.terminal.console import data, print_json

_QUEUE_URL = "QueueUrl"
_READ_FAILURES = (ClientError, BotoCoreError, httpx.HTTPError, httpx.InvalidURL, LocalCloudError)
_WORD_BOUNDARY = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class Part:
    """One part of a deployment: `state` in a word or two, and whether it works as it should."""

    name: str
    state: str
    well: bool
    detail: str = ""


def status(target: TargetOption = Target.LOCAL, json: JsonOption = False) -> None:
    """Show the state of each part of the deployment. Exits 1 if a part is unhealthy; `leaseway up` restarts it."""
    parts = read_parts(target)
    well = all(part.well for part in parts)
    if json:
        print_json({"well": well, "parts": [asdict(part) for part in parts]})
    else:
        table = Table("part", "state", Column("detail", overflow="fold"), box=None, pad_edge=False)
        for part in parts:
            table.add_row(part.name, Text(part.state, "green" if part.well else "red"), part.detail)
        data.print(table)
        if not well:
            data.print("\n`leaseway up` restarts what is not well.")
    raise typer.Exit(0 if well else 1)


def read_parts(target: Target) -> list[Part]:
    """Read the state of each part of a target. A part that cannot be read is reported, not raised."""
    if target is not Target.LOCAL:
        return list(_read_deployment(Clients(target)))
    engine = Engine(default_home())
    parts = [_read_engine(engine), _read_monitor(Monitor(default_home()))]
    record = engine.running()
    if record and parts[0].well:
        parts += _read_deployment(Clients(target, record.host))
    return parts


def _read_engine(engine: Engine) -> Part:
    record = engine.record()
    if record is None:
        return Part("engine", "stopped", False, "`leaseway up` starts it")
    if not record.is_alive():
        return Part("engine", "died", False, f"pid {record.pid} is gone; its log is {engine.home.log}")
    if not engine.answers(record):
        return Part("engine", "stuck", False, f"pid {record.pid} does not answer on {record.host}")
    minutes = (time.time() - record.started_at) / 60
    warm = len(engine.functions())
    return Part("engine", "running", True, f"{record.host}, pid {record.pid}, {minutes:.0f} min, {warm} warm functions")


def _read_monitor(monitor: Monitor) -> Part:
    record = monitor.running()
    if record is None:
        return Part("monitor", "stopped", False, "no metrics are forwarded; `leaseway up` starts it")
    answers = monitor.answers(record)
    return Part("monitor", "running" if answers else "stuck", answers, f"{dashboard_url(record)}, pid {record.pid}")


def _read_deployment(clients: Clients) -> Iterator[Part]:
    yield _try_read("stack", partial(_read_stack, clients))
    try:
        deployed = outputs.fetch(clients)
    except _READ_FAILURES:
        return
    yield _try_read("API", partial(_read_api, deployed, local=clients.local))
    source = template.read()
    for name in template.function_names(source):
        expected = len(template.event_sources(source, name))
        yield _try_read(name, partial(_read_function, clients, deployed, name, expected))
    for output in (name for name in deployed.values if name.endswith(_QUEUE_URL)):
        name = _WORD_BOUNDARY.sub(" ", output.removesuffix("Url")).lower()
        yield _try_read(name, partial(_read_queue, clients, name, deployed[output]))


class _QueueCounts(TypedDict):
    ApproximateNumberOfMessages: str
    ApproximateNumberOfMessagesNotVisible: str


class _QueueAttributes(TypedDict):
    Attributes: _QueueCounts


def _try_read(name: str, read: Callable[[], Part]) -> Part:
    try:
        return read()
    except _READ_FAILURES as problem:
        return Part(name, "missing", False, str(problem)[:120])


def _read_stack(clients: Clients) -> Part:
    description = Stack(clients.get("cloudformation"), DEFAULT_STACK, poll=1).describe()
    state = str(description["StackStatus"]) if description else "not deployed"
    return Part("stack", state.lower(), state in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), DEFAULT_STACK)


def _read_api(deployed: Outputs, *, local: bool) -> Part:
    reply = httpx.get(f"{deployed.api_url}/health", timeout=30, trust_env=not local)
    state = "answers" if reply.is_success else f"HTTP {reply.status_code}"
    return Part("API", state, reply.is_success, deployed.api_url)


def _read_function(clients: Clients, deployed: Outputs, name: str, expected_sources: int) -> Part:
    if name not in deployed.values:
        return Part(name, "missing", False, "the deployed stack has no such function; `leaseway deploy` adds it")
    functions = clients.get("lambda")
    state = str(functions.get_function_configuration(FunctionName=deployed[name]).get("State", "Active"))
    mappings = functions.list_event_source_mappings(FunctionName=deployed[name])["EventSourceMappings"]
    problems = [
        f"an event source is {mapping['State'].lower()}"
        for mapping in mappings
        if mapping["State"] not in ("Enabled", "Creating")
    ]
    if len(mappings) < expected_sources:
        problems.append(f"{expected_sources - len(mappings)} of {expected_sources} event sources missing")
    return Part(name, state.lower(), state == "Active" and not problems, ", ".join([deployed[name], *problems]))


def _read_queue(clients: Clients, name: str, url: str) -> Part:
    waiting: Final = "ApproximateNumberOfMessages"
    hidden: Final = "ApproximateNumberOfMessagesNotVisible"
    answer = clients.get("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[waiting, hidden])
    counts = check_answer(answer, _QueueAttributes, of=f"the answer of {name}")["Attributes"]
    return Part(name, "there", True, f"{counts[waiting]} waiting, {counts[hidden]} in flight or hidden")
