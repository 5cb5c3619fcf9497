"""The ledger on the deployed stack: entries written by the real stream, keys under real load, money conserved."""

import asyncio
import csv
import io
import json
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.stress_transfers import await_clean_ledger, transfers
from leaseway_local.cli import app
from leaseway_local.connection import ledger_check
from leaseway_local.connection.api_client import ApiProblem
from support.commands import RunCommand
from support.deployed_stacks import DeployedStack, StackFactory
from support.waiting import wait_until


@pytest.fixture(scope="module")
def bank(make_stack: StackFactory) -> DeployedStack:
    """Apart from other tests' accounts: verification counts everybody's money."""
    return make_stack("bank", LedgerCheckEnabled=False)


@pytest.fixture
def user(bank: DeployedStack) -> str:
    """A user with 100.00."""
    name = f"user-{secrets.token_hex(6)}"
    bank.api.post("/api/users", {"userId": name, "balance": 100})
    return name


@pytest.fixture
def leaseway(bank: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Runs a ledger command on the bank's stack."""
    monkeypatch.setattr(ledger_check, "open_clients", lambda target: bank.clients)
    monkeypatch.setattr(ledger_check.outputs, "fetch", lambda clients: bank.outputs)
    return lambda *arguments: CliRunner().invoke(app, ["ledger", *map(str, arguments)])


def entries(bank: DeployedStack, user: str, count: int) -> list[dict[str, Any]]:
    """The user's entries once there are so many, newest first."""

    def list_entries() -> list[dict[str, Any]] | None:
        listing = bank.api.get(f"/api/users/{user}/ledger", size=100)["content"]
        return listing if len(listing) >= count else None

    return wait_until(list_entries, seconds=30, what=f"{count} entries of {user}")


def send(bank: DeployedStack, path: str, body: dict[str, Any], key: str) -> tuple[int, str]:
    # A laptop starts fifty functions at once; slow is not wrong.
    answer = bank.api.request("POST", path, json=body, headers={"Idempotency-Key": key}, timeout=300)
    return answer.status_code, answer.text


def test_every_change_is_explained_by_an_entry(bank: DeployedStack, user: str) -> None:
    bank.api.post("/api/users/update-balance", {"userId": user, "amount": "-30.25", "reference": "lunch"})
    bank.api.post("/api/users/update-balance", {"userId": user, "amount": 1})

    listing = entries(bank, user, 3)

    assert [(entry["version"], entry["amount"], entry["balance_after"]) for entry in listing] == [
        (3, 1, 70.75),
        (2, -30.25, 69.75),
        (1, 100, 100),
    ]
    assert [entry["reference"] for entry in listing] == [None, "lunch", None]
    then = bank.api.get(f"/api/users/{user}/balance", at=listing[1]["at"])
    assert (then["balance"], then["version"]) == (69.75, 2)


def test_fifty_clients_that_repeat_one_request_change_the_balance_once(
    bank: DeployedStack, user: str, many: Callable[[int], int]
) -> None:
    body = {"userId": user, "amount": -7}
    clients = many(50)
    start = threading.Barrier(clients)

    def client(_: int) -> list[tuple[int, str]]:
        start.wait()
        return [send(bank, "/api/users/update-balance", body, "the-same-key") for _ in range(20)]

    with ThreadPoolExecutor(clients) as pool:
        answers = Counter(answer for client_answers in pool.map(client, range(clients)) for answer in client_answers)

    granted = [text for status, text in answers if status == 200]
    assert len(granted) == 1, "every 200 has the same body"
    assert json.loads(granted[0])["balance"] == 93
    assert {status for status, _ in answers} <= {200, 503}
    assert sum(answers.values()) == 20 * clients
    assert bank.api.get(f"/api/users/{user}/balance")["version"] == 2


def test_fifty_clients_that_open_one_account_open_it_once(bank: DeployedStack, many: Callable[[int], int]) -> None:
    name = f"user-{secrets.token_hex(6)}"

    with ThreadPoolExecutor(many(50)) as pool:
        body = {"userId": name, "balance": 5}
        answers = list(pool.map(lambda _: send(bank, "/api/users", body, "one-key"), range(many(50))))

    assert {status for status, _ in answers} <= {201, 503}
    assert len({text for status, text in answers if status == 201}) == 1


def test_a_keyed_job_is_made_once(bank: DeployedStack) -> None:
    body = {"type": "SLEEP", "payload": {"duration_ms": 1}}
    key = secrets.token_hex(8)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: send(bank, "/api/v1/jobs", body, key), range(30)))

    assert {status for status, _ in answers} == {202}
    assert len({text for _, text in answers}) == 1
    other = {"type": "SLEEP", "payload": {"duration_ms": 2}}
    assert send(bank, "/api/v1/jobs", other, key)[0] == 422


def test_random_transfers_conserve_the_sum_and_verify_clean(bank: DeployedStack, many: Callable[[int], int]) -> None:
    token = bank.admin.token()
    requests, at_a_time = many(600), many(20)
    outcome = asyncio.run(
        transfers(bank.outputs.api_url, token=token, accounts=40, requests=requests, at_a_time=at_a_time, seed=4)
    )

    assert outcome.is_conserved, outcome
    assert outcome.statuses[200] > requests / 2
    report = await_clean_ledger(bank.outputs["LedgerCheckFunction"], bank.client("lambda"))
    assert (report["clean"], report["behind"]) == (True, 0), report["listed"]
    assert report["balances"] == report["brought_in"] + report["under_way"]


def test_a_user_sends_from_the_own_account_and_reads_the_own_ledger(bank: DeployedStack) -> None:
    user, other = (f"user-{secrets.token_hex(6)}" for _ in range(2))

    with bank.as_user(user) as api:
        bank.api.post("/api/users", {"userId": user, "balance": 100, "owner": user})
        bank.api.post("/api/users", {"userId": other, "balance": 0})
        entries(bank, user, 1)
        outcome = api.post("/api/v1/transfers", {"from": user, "to": other, "amount": 40})
        assert (outcome["balance"], outcome["to"]) == (60, other)
        assert api.get(f"/api/users/{user}/ledger")["content"][-1]["kind"] == "opening"
        refusals = [
            api.request("POST", "/api/v1/transfers", json={"from": other, "to": user, "amount": 1}),
            api.request("GET", f"/api/users/{other}/ledger"),
            api.request("POST", f"/api/v1/ledger/{outcome['from_entry']}/reversal"),
        ]
    assert {answer.status_code for answer in refusals} <= {403, 404}
    assert bank.api.get(f"/api/users/{other}/balance")["balance"] == 40


def test_a_transfer_is_reversed_once_from_either_side(bank: DeployedStack, user: str) -> None:
    other = f"user-{secrets.token_hex(6)}"
    bank.api.post("/api/users", {"userId": other, "balance": 0})
    outcome = bank.api.post("/api/v1/transfers", {"from": user, "to": other, "amount": 40})
    entries(bank, user, 2)
    entries(bank, other, 2)

    def reverse(entry: str) -> Any:
        try:
            return bank.api.post(f"/api/v1/ledger/{entry}/reversal")["entries"]
        except ApiProblem as refusal:
            return refusal.code

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(reverse, [outcome["from_entry"], outcome["to_entry"]] * 5))

    made_once = [answer for answer in answers if isinstance(answer, list)]
    assert len(made_once) == 1
    assert {answer for answer in answers if isinstance(answer, str)} == {"ALREADY_REVERSED"}
    assert bank.api.get(f"/api/users/{user}/balance")["balance"] == 100
    assert entries(bank, other, 3)[0]["reverses"] == outcome["to_entry"]


def test_the_ledger_catches_up_after_its_function_was_away(bank: DeployedStack, user: str) -> None:
    client = bank.client("lambda")
    function = bank.outputs["LedgerFunction"]
    mapping = client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"][0]["UUID"]
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        for _ in range(5):
            bank.api.post("/api/users/update-balance", {"userId": user, "amount": 1})
        report = bank.invoke("LedgerCheckFunction", {"do": "verify", "user_id": user})
        assert report["clean"], "entries on their way are no difference"
    finally:
        client.update_event_source_mapping(UUID=mapping, Enabled=True)

    assert [entry["version"] for entry in entries(bank, user, 6)] == [6, 5, 4, 3, 2, 1]


def test_the_commands_verify_find_mend_and_export(
    bank: DeployedStack, user: str, leaseway: RunCommand, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        bank.api.post("/api/users/update-balance", {"userId": user, "amount": number, "reference": "=1+1"})
    entries(bank, user, 4)
    assert leaseway("verify", user).exit_code == 0

    dynamodb = bank.client("dynamodb")
    dynamodb.delete_item(TableName=bank.outputs["LedgerTable"], Key={"user_id": {"S": user}, "version": {"N": "3"}})
    broken = leaseway("verify", user, "--json")
    assert broken.exit_code == 1
    assert json.loads(broken.stdout)["listed"][0]["kind"] == "gap"
    assert "gap" in leaseway("verify", user).stdout
    assert leaseway("repair", user).exit_code == 0
    assert leaseway("verify", user).exit_code == 0

    exported = leaseway("export", user, "--format", "jsonl")
    rows = [json.loads(line) for line in exported.stdout.splitlines() if line.startswith("{")]
    assert [(row["version"], row["amount"]) for row in rows] == [(1, "100.00"), (2, "1.00"), (3, "2.00"), (4, "3.00")]
    assert rows[2]["reconstructed"] is True
    assert leaseway("export", user, "--output", tmp_path / "out.csv").exit_code == 0
    table = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert [row["balance_after"] for row in table] == ["100.00", "101.00", "103.00", "106.00"]
    assert table[1]["reference"] == "'=1+1"


def test_an_unknown_user_is_reported_and_exits_1(leaseway: RunCommand) -> None:
    result = leaseway("verify", "nobody")
    assert result.exit_code == 1
    assert "USER_NOT_FOUND" in str(result.exception)
