"""`leaseway api-local` against the deployed stack."""

import multiprocessing
from collections.abc import Iterator

import pytest

from leaseway_local.commands import api_local
from leaseway_local.connection.api_client import ApiClient
from leaseway_local.engine.processes import free_port
from leaseway_local.errors import LocalCloudError
from support.deployed_stacks import DeployedStack
from support.waiting import wait_until


@pytest.fixture(scope="module")
def local_api(stack: DeployedStack) -> Iterator[ApiClient]:
    """The API of a process of its own, whose tables are the shared stack's."""
    port = free_port()
    variables = api_local.variables_of(stack.clients, stack.outputs)
    process = multiprocessing.get_context("spawn").Process(target=api_local.serve, args=(port, variables))
    process.start()
    try:
        with ApiClient(f"http://127.0.0.1:{port}", auth=stack.admin) as api:
            wait_until(lambda: _answers(api), seconds=60, what="the API to answer")
            yield api
    finally:
        process.terminate()
        process.join()


def _answers(api: ApiClient) -> bool:
    try:
        return api.request("GET", "/health").status_code == 200
    except LocalCloudError:
        return False


def test_a_job_created_there_is_run_by_the_deployed_worker(local_api: ApiClient, stack: DeployedStack) -> None:
    job = local_api.post("/api/v1/jobs", {"type": "GENERATE_NUMBER", "payload": {}})

    path = f"/api/v1/jobs/{job['id']}"
    wait_until(lambda: stack.api.get(path)["status"] == "COMPLETED", seconds=60, what="the job to be run")


def test_a_call_without_a_token_is_refused(local_api: ApiClient) -> None:
    with ApiClient(local_api.base_url) as nobody:
        answer = nobody.request("GET", "/api/v1/me")

    assert answer.status_code == 401
    assert answer.json()["code"]
