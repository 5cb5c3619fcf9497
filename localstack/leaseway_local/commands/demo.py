"""`leaseway demo`: show what Leaseway does on a running deployment, step by step."""

import os
import secrets
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypedDict
from urllib.parse import urlsplit

from leaseway_local.answer_checks import check_answer
from leaseway_local.answers import AccountAnswer, JobAnswer, StartedRunAnswer, TaskAnswer, TaskPageAnswer, UploadAnswer
from leaseway_local.commands.api_access import call_api
from leaseway_local.commands.job_waiting import LIVE, wait_for
from leaseway_local.commands.options import TargetOption
from leaseway_local.connection.api_client import ApiClient, ApiProblem
from leaseway_local.connection.clients import Target
from leaseway_local.demo import page_server, pictures
from leaseway_local.demo.samples import install, samples
from leaseway_local.demo.shell_commands import list_commands
from leaseway_local.engine.paths import default_home
from leaseway_local.engine.ports import demo_host
from leaseway_local.errors import LocalCloudError
from leaseway_local.terminal.console import data
from leaseway_local.terminal.tables import format_money, job_table
from leaseway_local.terminal.task_tables import task_table

_JOBS_SECONDS = 120
_THUMBNAIL = (320, 240)
_LONGEST_SETTING = 9  # digits
_SAMPLE_SECONDS = 3  # the samples' two minutes would be a long demo


class DemoFailedError(LocalCloudError):
    """Leaseway gave an unexpected answer."""


class ResizeResult(TypedDict):
    """The result of the job type IMAGE_RESIZE."""

    url: str
    size: int


class DemoJob(NamedTuple):
    """The type and payload of a job for the demo."""

    type: str
    payload: dict[str, Any]


def demo(target: TargetOption = Target.LOCAL) -> None:
    """Demonstrate balances, jobs of several types, and recurring tasks on a running deployment."""
    with call_api(target) as api, _page(api, target) as page:
        user = _show_money(api)
        jobs = _show_jobs(api, _jobs_to_show(api, page))
        _show_picture(jobs)
        _show_tasks(api, samples(_sample_seconds(), page))
    _show_next(api.base_url, user, jobs[0]["id"])


def _show_money(api: ApiClient) -> str:
    user = f"demo-{secrets.token_hex(3)}"
    data.print("\n[bold]1. Money[/] - a balance changes at once, exactly, and never below zero\n", markup=True)
    account = api.post_once("/api/users", {"userId": user, "balance": "100.00"}, AccountAnswer)
    _print_balance(f"{user} opens an account", account)
    account = api.post_once(
        "/api/users/update-balance", {"userId": user, "amount": "50.25", "reference": "demo payment"}, AccountAnswer
    )
    _print_balance("is paid 50.25", account)
    account = api.post_once(
        "/api/users/update-balance", {"userId": user, "amount": "-30.00", "reference": "demo order"}, AccountAnswer
    )
    _print_balance("spends 30.00", account)
    _overdraw(api, user)
    _expect(
        _amount(api.get(f"/api/users/{user}/balance", AccountAnswer)) == Decimal("120.25"),
        "the refusal changed the balance",
    )
    return user


def _print_balance(what: str, account: AccountAnswer) -> None:
    data.print(
        f"   {what:<34} [green]balance {format_money(account['balance']):>10}[/]  version {account['version']}",
        markup=True,
    )


def _overdraw(api: ApiClient, user: str) -> None:
    try:
        api.post_once("/api/users/update-balance", {"userId": user, "amount": "-500.00"})
    except ApiProblem as refusal:
        _expect(refusal.code == "INSUFFICIENT_FUNDS", f"the overdraft was refused with {refusal.code}")
        balance = format_money(refusal.document.get("balance"))
        data.print(
            f"   {'tries to spend 500.00':<34} [yellow]balance {balance:>10}[/]  refused: {refusal.code}", markup=True
        )
        return
    raise DemoFailedError("500.00 were taken from a balance of 120.25.")


def _jobs_to_show(api: ApiClient, page: str) -> list[DemoJob]:
    picture = pictures.draw()
    form = api.post("/api/v1/uploads", {"content_type": "image/jpeg", "size": len(picture)}, UploadAnswer)
    pictures.upload(form, picture)
    _keep("before.jpg", picture)
    width, height = _THUMBNAIL
    return [
        DemoJob("SLEEP", {"duration_ms": 1500}),
        DemoJob("HTTP_GET", {"url": page}),
        DemoJob("IMAGE_RESIZE", {"source": {"key": form["key"]}, "width": width, "height": height, "format": "png"}),
        DemoJob("GENERATE_LOGIN", {"length": 12}),
        DemoJob("GENERATE_NUMBER", {"digits": 8}),
    ]


def _show_jobs(api: ApiClient, demo_jobs: Sequence[DemoJob]) -> list[JobAnswer]:
    data.print("\n[bold]2. Jobs[/] - queued, run by a worker under a lease, and never finished twice\n", markup=True)
    with data.status("") as status:
        created = [api.post_once("/api/v1/jobs", demo_job._asdict(), JobAnswer) for demo_job in demo_jobs]
        jobs = wait_for(
            api,
            [job["id"] for job in created],
            _JOBS_SECONDS,
            on_poll=lambda left: status.update(f"{len(created)} jobs created, {len(left)} still at work"),
        )
    data.print(job_table(jobs, results=True))
    for job in jobs:
        _expect(job["status"] not in LIVE, f"job {job['id']} is {job['status']} after {_JOBS_SECONDS} s")
        _expect(job["status"] == "COMPLETED", f"job {job['id']} is {job['status']}: {job['error_message']}")
    return jobs


def _show_picture(jobs: Sequence[JobAnswer]) -> None:
    document = next(job["result"] for job in jobs if job["type"] == "IMAGE_RESIZE")
    result = check_answer(document, ResizeResult, of="the result of IMAGE_RESIZE")
    resized = pictures.download(result["url"])
    size = pictures.dimensions(resized)
    _expect(size == _THUMBNAIL, f"the picture came back as {size}, not as {_THUMBNAIL}")
    _expect(len(resized) == result["size"], "the picture has another size than its job says")
    before, after = pictures.SIZE, _keep("after.png", resized)
    data.print(
        f"\n   The picture: {before[0]} x {before[1]} went in, {size[0]} x {size[1]} came back, decoded and checked."
    )
    data.print(f"   Both are in {_format_path(after.parent)}/")


def _show_tasks(api: ApiClient, definitions: list[dict[str, Any]]) -> None:
    data.print(
        "\n[bold]3. Recurring tasks[/] - every slot once, spread over the workers, written into history\n", markup=True
    )
    for _ in install(api, definitions):
        pass
    names = {definition["name"] for definition in definitions}
    tasks = _list_tasks(api, names)
    with data.status("") as status:
        wait_for(
            api,
            [_start_run(api, task["id"]) for task in tasks],
            _JOBS_SECONDS,
            on_poll=lambda left: status.update(f"{len(tasks)} tasks run by hand, {len(left)} still at work"),
        )
    tasks = _list_tasks(api, names)
    data.print(task_table(tasks))
    runs = {task["name"]: task["run"] for task in tasks if task["run"]}
    for name, run in runs.items():
        _expect(run["status"] not in {"FAILED", "CANCELLED"}, f"task {name} is {run['status']}")
    workers = {run["worker"] for run in runs.values()}
    data.print(f"   {len(runs)} runs on {len(workers)} workers; from here on their schedules start them.")


def _list_tasks(api: ApiClient, names: Container[str]) -> list[TaskAnswer]:
    return [task for task in api.get("/api/tasks", TaskPageAnswer, size=100)["content"] if task["name"] in names]


def _start_run(api: ApiClient, task_id: str) -> str:
    """Run the task unless it is running. Returns the id of the run's job."""
    try:
        return api.post(f"/api/tasks/{task_id}/run", None, StartedRunAnswer)["job_id"]
    except ApiProblem as refusal:
        if refusal.code != "ALREADY_RUNNING":
            raise
        return check_answer(refusal.document, StartedRunAnswer)["job_id"]


def _sample_seconds() -> int:
    setting = os.environ.get("LEASEWAY_SAMPLE_SECONDS") or str(_SAMPLE_SECONDS)
    if not (setting.isascii() and setting.isdigit() and 1 <= len(setting) <= _LONGEST_SETTING):
        raise LocalCloudError(f"LEASEWAY_SAMPLE_SECONDS is {setting!r}.", "Set it to a number of seconds.")
    return int(setting)


def _show_next(url: str, user: str, job_id: str) -> None:
    data.print(
        f"\n[bold]The API[/] {url}\n[bold]Its console[/] {url}/console\n[bold]Its page[/] {url}/docs\n"
        "\n[bold]Try it[/]",
        soft_wrap=True,
        markup=True,
    )
    for line in list_commands(url, user, job_id):
        data.print(f"   {line}", markup=False)
    data.print(
        "\n[bold]Stop[/] make down (keeps the data)   [bold]Watch[/] .venv/bin/leaseway logs --follow\n", markup=True
    )


@contextmanager
def _page(api: ApiClient, target: Target) -> Iterator[str]:
    """Serve the page that HTTP_GET fetches; for AWS, whose workers cannot reach this machine, use the API's /health."""
    if target is not Target.AWS:
        with page_server.serving(demo_host(urlsplit(api.base_url).port or 80)) as address:
            yield address
    else:
        yield f"{api.base_url}/health"


def _keep(name: str, content: bytes) -> Path:
    folder = default_home().path / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def _format_path(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _amount(account: AccountAnswer) -> Decimal:
    return Decimal(str(account["balance"]))


def _expect(true: bool, otherwise: str) -> None:
    if not true:
        raise DemoFailedError(otherwise[:1].upper() + otherwise[1:] + ".", "See `leaseway logs` for what happened.")
