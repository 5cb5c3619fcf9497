"""Deploy template.yaml to a target: package, upload, create or update the stack, and check the result."""

import base64
import fcntl
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import PublicAccessBlockConfigurationTypeDef

FIRST_ACCOUNT = {"userId": "1", "balance": 10_000}
"""The account that every deployment creates."""

LOCAL_PARAMETERS = {
    "DeletionProtection": "false",
    "LogFormat": "text",
    "Registration": "open",
    "WorkerConcurrency": "5",
}
"""Differences on a laptop: disposable data, readable logs, anyone may register, as many workers as a few cores run."""

EMBEDDED_PARAMETERS = {"MeterSubscribed": "false"}
"""Differences on the engine that `leaseway up` starts: its monitor feeds the meter."""

_TEMPLATE_BODY_LIMIT = 51_200  # bytes; CloudFormation takes a larger template from S3 only
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Deployment:
    """The result of a deployment."""

    outputs: Outputs
    built: list[str]
    """Names of the archives that had to be built."""
    changed: bool
    """Whether the stack was created or updated; False if it was up to date."""
    admin: SignIn
    """The first Admin, with the password that the stack generated."""


@dataclass
class Deployer:
    """Deploys one stack. `progress` is called with a text per step; `overlay` is copied over the functions' code."""

    clients: Clients
    home: Home
    stack: str = DEFAULT_STACK
    parameters: Mapping[str, str] = field(default_factory=dict)
    overlay: Path | None = None
    progress: Callable[[str], None] = lambda _: None

    def deploy(self) -> Deployment:
        """Make the target match the project's files, doing only what that takes.

        Deployments from one folder take turns, so a concurrent second one has nothing left to do.

        Raises:
            LocalCloudError: a step failed.
        """
        self.home.path.mkdir(parents=True, exist_ok=True)
        with self.home.deployment_lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self._deploy()

    def _deploy(self) -> Deployment:
        source = template.read()
        archives = self._build_archives()
        self.progress("uploading")
        packaged = template.package(source, self._upload(archives, template.gateway_path(source)))
        changed = self._apply(packaged)
        result = outputs.fetch(self.clients, self.stack)
        self.progress("checking that every function has its code")
        self._check_code(template.function_names(source), result, archives["functions"])
        if self.clients.local:
            gateway_responses.complete(self.clients.get("apigateway"), result, template.gateway_path(source))
            custom_resources.complete(self.clients, result, source, self._ensure_code_bucket())
        self.progress("waiting for the API to answer")
        self._check_api(result)
        admin = sign_in.read_first_admin(self.clients, result)
        self._create_first_account(result, admin)
        outputs.write(self.home, result)
        return Deployment(result, [archive.name for archive in archives.values() if archive.built], changed, admin)

    def _build_archives(self) -> dict[str, Archive]:
        platform = "laptop" if self.clients.local else "lambda"
        self.progress("packaging the runtime layer")
        runtime = packaging.build_runtime_layer(target=platform)
        self.progress("packaging leaseway and the functions")
        return {
            "runtime": runtime,
            "core": packaging.build_core_layer(target=platform),
            "functions": packaging.build_functions(target=platform, overlay=self.overlay),
        }

    def _upload(self, archives: Mapping[str, Archive], gateway: Path) -> template.Locations:
        bucket = self._ensure_code_bucket()
        for archive in archives.values():
            self._upload_once(bucket, archive.key, archive.path)
        gateway_key = f"gateway-{packaging.digest([gateway])}.yaml"
        self._upload_once(bucket, gateway_key, gateway)
        return template.Locations(
            layers={
                "layers/core/": f"s3://{bucket}/{archives['core'].key}",
                "layers/runtime/": f"s3://{bucket}/{archives['runtime'].key}",
            },
            functions=f"s3://{bucket}/{archives['functions'].key}",
            gateway=f"s3://{bucket}/{gateway_key}",
        )

    def _ensure_code_bucket(self) -> str:
        account = self.clients.get("sts").get_caller_identity()["Account"]
        name = f"leaseway-code-{account}-{self.clients.region}"
        s3 = self.clients.get("s3")
        try:
            s3.head_bucket(Bucket=name)
        except ClientError:
            elsewhere: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": self.clients.region}}
            s3.create_bucket(Bucket=name, **({} if self.clients.region == "us-east-1" else elsewhere))
            s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=_ALL_BLOCKED)
        return name

    def _upload_once(self, bucket: str, key: str, path: Path) -> None:
        s3 = self.clients.get("s3")
        try:
            s3.head_object(Bucket=bucket, Key=key)  # keys carry the content's hash, so an existing object is identical
        except ClientError:
            s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    def _apply(self, packaged: dict[str, Any]) -> bool:
        embedded = EMBEDDED_PARAMETERS if self.clients.target is Target.LOCAL else {}
        parameters = {**(LOCAL_PARAMETERS if self.clients.local else {}), **embedded, **self.parameters}
        if self.clients.local:
            packaged = template.resolve_numbers(packaged, parameters)
        body = json.dumps(packaged, separators=(",", ":"))
        content = hashlib.sha256(f"{body}{json.dumps(parameters, sort_keys=True)}".encode()).hexdigest()[:32]
        stack = Stack(self.clients.get("cloudformation"), self.stack, poll=0.2 if self.clients.local else 3)
        if stack.holds(content):
            return False
        self.progress("deploying the stack")
        stack.deploy(
            self._source(body),
            parameters,
            content,
            keep_parameters=not self.clients.local,
            progress=lambda state: self.progress(f"deploying the stack: {state}"),
        )
        return True

    def _source(self, body: str) -> dict[str, str]:
        if len(body.encode()) <= _TEMPLATE_BODY_LIMIT:
            return {"TemplateBody": body}
        bucket = self._ensure_code_bucket()
        key = f"template-{hashlib.sha256(body.encode()).hexdigest()[:16]}.json"
        self.clients.get("s3").put_object(Bucket=bucket, Key=key, Body=body.encode())
        host = self.clients.endpoint_url or f"https://s3.{self.clients.region}.amazonaws.com"
        return {"TemplateURL": f"{host}/{bucket}/{key}"}

    def _check_code(self, names: list[str], result: Outputs, code: Archive) -> None:
        """Check that each function runs this archive: a local engine also reports success if the archive is missing."""
        expected = base64.b64encode(code.sha256()).decode()
        functions = self.clients.get("lambda")
        for name in names:
            configuration = functions.get_function_configuration(FunctionName=result[name])
            if configuration["CodeSha256"] != expected:
                raise LocalCloudError(
                    f"{name} does not run the code that was packaged for it.",
                    "Run `leaseway down --purge` and `leaseway up`: the code bucket and the stack do not match.",
                )

    def _check_api(self, result: Outputs) -> None:
        last: list[str] = ["no answer"]

        def is_healthy() -> bool:
            try:
                reply = httpx.get(f"{result.api_url}/health", timeout=30, trust_env=not self.clients.local)
            except httpx.HTTPError as problem:
                last[0] = f"{type(problem).__name__}: {problem}"
                return False
            last[0] = f"{reply.status_code} {reply.text[:300]}"
            return reply.status_code == 200

        if not wait_until(is_healthy, _ANSWER_SECONDS, every=0.5):
            raise LocalCloudError(
                f"the stack is deployed, but {result.api_url}/health does not answer 200. Last answer: {last[0]}",
                "`leaseway logs ApiFunction` shows the function's log.",
            )

    def _create_first_account(self, result: Outputs, admin: SignIn) -> None:
        with ApiClient(result.api_url, auth=admin) as api:
            try:
                api.post("/api/users", FIRST_ACCOUNT)
            except SignInRefusedError:
                # The Admin has changed the password, so this is not the first deployment and the account exists.
                self.progress("the first Admin has a new password")
            except ApiProblem as problem:
                if problem.code not in ("USER_EXISTS", "OWNER_REQUIRED"):
                    raise LocalCloudError(
                        f"the first account could not be created: {problem}", "`leaseway logs ApiFunction` shows more."
                    ) from problem


_ALL_BLOCKED: "PublicAccessBlockConfigurationTypeDef" = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
