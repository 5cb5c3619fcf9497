"""Shell commands with which a reader of the demo goes on."""

import shlex


def list_commands(url: str, user: str, job_id: str) -> list[str]:
    """List commands that read and change the demo's account, and create and read jobs."""
    pay = shlex.quote(f'{{"userId": "{user}", "amount": 12.50}}')
    sleep = shlex.quote('{"type": "SLEEP", "payload": {"duration_ms": 500}}')
    bearer = '-H "authorization: Bearer $TOKEN"'
    json_type = f"{bearer} -H 'content-type: application/json'"
    return [
        "TOKEN=$(.venv/bin/leaseway token)",
        f"curl -s {url}/api/users/{user}/balance {bearer}",
        f"curl -s {url}/api/users/update-balance {json_type} -d {pay}",
        f"curl -s {url}/api/v1/jobs {json_type} -d {sleep}",
        f"curl -s {url}/api/v1/jobs/{job_id}/result {bearer}",
        f"curl -s '{url}/api/v1/jobs?status=COMPLETED&size=5' {bearer}",
    ]
