"""Deploys template.yaml to a target: packages, uploads, creates or updates the stack, and checks what came of it."""

import base64
import fcntl
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import ClientError

from leaseway_local.connection import outputs, sign_in
from leaseway_local.connection.api_client import ApiClient, ApiProblem
from leaseway_local.connection.clients import Clients, Target
from leaseway_local.connection.outputs import Outputs
from leaseway_local.connection.sign_in import SignIn, SignInRefusedError
from leaseway_local.deployment import custom_resources, gateway_responses, packaging, template
from leaseway_local.deployment.packaging import Archive
from leaseway_local.deployment.stacks import Stack
from leaseway_local.engine.paths import DEFAULT_STACK, Home
from leaseway_local.engine.processes import wait_until
from leaseway_local.errors import LocalCloudError

FIRST_ACCOUNT = {"userId": "1", "balance": 10_000}
"""The account that every deployment starts with."""

LOCAL_PARAMETERS = {"DeletionProtection": "false", "LogFormat": "text", "WorkerConcurrency": "5"}
"""What differs on a laptop: data that may be thrown away, logs for a person, as many workers as a few cores carry."""

EMBEDDED_PARAMETERS = {"MeterSubscribed": "false"}
"""What differs on the engine that `leaseway up` starts: its monitor brings the meter its lines."""

_TEMPLATE_BODY_LIMIT = 51_200  # bytes; CloudFormation takes a larger template from S3 only
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Deployment:
    """What a deployment came to."""

    outputs: Outputs
    built: list[str]
    """Names of the archives that had to be built."""
    changed: bool
    """Whether the stack was created or updated; False when it already held all of this."""
    admin: SignIn
    """The first Admin, with the password that the stack generated."""


@dataclass
class Deployer:
    """Deploys one stack. `progress` is told each step in a few words; `overlay` is laid over the functions' code."""

    clients: Clients
    home: Home
    stack: str = DEFAULT_STACK
    parameters: Mapping[str, str] = field(default_factory=dict)
    overlay: Path | None = None
    progress: Callable[[str], None] = lambda _: None

    def deploy(self) -> Deployment:
        """Bring the target to what the project's files say, and nothing more than that takes.

        Deployments from one folder take turns: the second finds the work of the first done.

        Raises:
            LocalCloudError: a step failed; says which, why, and what to do.
        """
        self.home.path.mkdir(parents=True, exist_ok=True)
        with self.home.deployment_lock.open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            return self._deploy()

    def _deploy(self) -> Deployment:
        found = template.read()
        archives = self._archives()
        self.progress("uploading")
        packaged = template.packaged(found, self._upload(archives, template.gateway_path(found)))
        changed = self._apply(packaged)
        result = outputs.fetch(self.clients, self.stack)
        self.progress("checking that every function has its code")
        self._check_code(template.function_names(found), result, archives["functions"])
        if self.clients.local:
            gateway_responses.complete(self.clients.get("apigateway"), result, template.gateway_path(found))
            custom_resources.complete(self.clients, result, found, self._code_bucket())
        self.progress("waiting for the API to answer")
        self._check_api(result)
        admin = sign_in.read_first_admin(self.clients, result)
        self._first_account(result, admin)
        outputs.write(self.home, result)
        return Deployment(result, [archive.name for archive in archives.values() if archive.built], changed, admin)

    def _archives(self) -> dict[str, Archive]:
        platform = "laptop" if self.clients.local else "lambda"
        self.progress("packaging the runtime layer")
        runtime = packaging.runtime_layer(target=platform)
        self.progress("packaging leaseway and the functions")
        return {
            "runtime": runtime,
            "core": packaging.core_layer(target=platform),
            "functions": packaging.functions(target=platform, overlay=self.overlay),
        }

    def _upload(self, archives: Mapping[str, Archive], gateway: Path) -> template.Locations:
        bucket = self._code_bucket()
        for archive in archives.values():
            self._put(bucket, archive.key, archive.path)
        gateway_key = f"gateway-{packaging.digest([gateway])}.yaml"
        self._put(bucket, gateway_key, gateway)
        return template.Locations(
            layers={
                "layers/core/": f"s3://{bucket}/{archives['core'].key}",
                "layers/runtime/": f"s3://{bucket}/{archives['runtime'].key}",
            },
            functions=f"s3://{bucket}/{archives['functions'].key}",
            gateway=f"s3://{bucket}/{gateway_key}",
        )

    def _code_bucket(self) -> str:
        account = self.clients.get("sts").get_caller_identity()["Account"]
        name = f"leaseway-code-{account}-{self.clients.region}"
        s3 = self.clients.get("s3")
        try:
            s3.head_bucket(Bucket=name)
        except ClientError:
            place = {} if self.clients.region == "us-east-1" else {"LocationConstraint": self.clients.region}
            s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": place} if place else {}))
            s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=_ALL_BLOCKED)
        return name

    def _put(self, bucket: str, key: str, path: Path) -> None:
        s3 = self.clients.get("s3")
        try:
            s3.head_object(Bucket=bucket, Key=key)  # keys carry the content's hash: what is there is the same
        except ClientError:
            s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    def _apply(self, packaged: dict[str, Any]) -> bool:
        embedded = EMBEDDED_PARAMETERS if self.clients.target is Target.LOCAL else {}
        given = {**(LOCAL_PARAMETERS if self.clients.local else {}), **embedded, **self.parameters}
        if self.clients.local:
            packaged = template.with_numbers(packaged, given)
        body = json.dumps(packaged, separators=(",", ":"))
        content = hashlib.sha256(f"{body}{json.dumps(given, sort_keys=True)}".encode()).hexdigest()[:32]
        stack = Stack(self.clients.get("cloudformation"), self.stack, poll=0.2 if self.clients.local else 3)
        if stack.holds(content):
            return False
        self.progress("deploying the stack")
        stack.deploy(
            self._source(body),
            given,
            content,
            keep_parameters=not self.clients.local,
            progress=lambda state: self.progress(f"deploying the stack: {state}"),
        )
        return True

    def _source(self, body: str) -> dict[str, str]:
        if len(body.encode()) <= _TEMPLATE_BODY_LIMIT:
            return {"TemplateBody": body}
        bucket = self._code_bucket()
        key = f"template-{hashlib.sha256(body.encode()).hexdigest()[:16]}.json"
        self.clients.get("s3").put_object(Bucket=bucket, Key=key, Body=body.encode())
        host = self.clients.endpoint_url or f"https://s3.{self.clients.region}.amazonaws.com"
        return {"TemplateURL": f"{host}/{bucket}/{key}"}

    def _check_code(self, names: list[str], result: Outputs, code: Archive) -> None:
        """A local engine reports success for a function whose archive is missing, and answers in its place."""
        wanted = base64.b64encode(code.sha256()).decode()
        functions = self.clients.get("lambda")
        for name in names:
            held = functions.get_function_configuration(FunctionName=result[name])
            if held["CodeSha256"] != wanted:
                raise LocalCloudError(
                    f"{name} does not run the code that was packaged for it.",
                    "Run `leaseway down --purge` and `leaseway up`: the code bucket and the stack do not match.",
                )

    def _check_api(self, result: Outputs) -> None:
        last: list[str] = ["no answer"]

        def answers() -> bool:
            try:
                reply = httpx.get(f"{result.api_url}/health", timeout=30, trust_env=not self.clients.local)
            except httpx.HTTPError as problem:
                last[0] = f"{type(problem).__name__}: {problem}"
                return False
            last[0] = f"{reply.status_code} {reply.text[:300]}"
            return reply.status_code == 200

        if not wait_until(answers, _ANSWER_SECONDS, every=0.5):
            raise LocalCloudError(
                f"the stack is deployed, but {result.api_url}/health does not answer 200. Last answer: {last[0]}",
                "`leaseway logs ApiFunction` shows what the function says.",
            )

    def _first_account(self, result: Outputs, admin: SignIn) -> None:
        with ApiClient(result.api_url, auth=admin) as api:
            try:
                api.post("/api/users", FIRST_ACCOUNT)
            except SignInRefusedError:
                # The Admin has another password by now, so this is not the first deployment and the account is there.
                self.progress("the first Admin has a new password")
            except ApiProblem as problem:
                if problem.code != "USER_EXISTS":
                    raise LocalCloudError(
                        f"the first account could not be created: {problem}", "`leaseway logs ApiFunction` says more."
                    ) from problem


_ALL_BLOCKED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
