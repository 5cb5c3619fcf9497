"""LocalStack without Docker: everything it needs, pinned, in the git-ignored folder `.localstack`.

Built once and again when a pin changes. What is missing on a Debian machine (a JDK, npm) comes from its packages.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from leaseway_local.engine.paths import ROOT
from leaseway_local.errors import LocalCloudError
from leaseway_local.terminal.console import Stopwatch, messages, run_main

ENVIRONMENT = ROOT / ".localstack"
PYTHON = ENVIRONMENT / "venv" / "bin" / "python"
LIBRARIES = ENVIRONMENT / "lib"
"""What LocalStack would fetch at its first use: it is linked into each one's own folder."""

_SOURCE = ROOT / "localstack" / "host"
_STAMP = ENVIRONMENT / "built"

_SIMULATOR = "amplify-dynamodb-simulator@2.9.30"  # it bundles DynamoDB Local 1.25.1
_SIMULATOR_SHA512 = "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
_DYNAMODB = LIBRARIES / "dynamodb-local" / "2"
_JAVA = LIBRARIES / "java" / "21"  # the version that LocalStack asks for; DynamoDB Local runs on 17
_OLDEST_JAVA = 17
_AGENT = "ddb-local-loader-0.1.jar"  # LocalStack's own raises the number of indexes, and comes from nowhere pinned


def main() -> None:
    """Build what is missing or outdated; nothing happens when all is there."""
    content = _content()
    if _STAMP.exists() and _STAMP.read_text() == content and PYTHON.exists() and (_JAVA / "bin" / "java").exists():
        return
    watch = Stopwatch()
    _STAMP.unlink(missing_ok=True)
    ENVIRONMENT.mkdir(exist_ok=True)
    _install_packages(_interpreter())
    jdk = _jdk()
    _link(jdk, _JAVA)
    _install_dynamodb()
    _make_agent(jdk)
    _STAMP.write_text(content)
    messages.print(f"[green]✓[/] LocalStack is built in {ENVIRONMENT.name} ({watch})", markup=True)


def _content() -> str:
    pins = [Path(__file__), *sorted(file for file in _SOURCE.iterdir() if file.is_file())]
    return hashlib.sha256(b"".join(file.read_bytes() for file in pins) + str(_interpreter()).encode()).hexdigest()


def _interpreter() -> Path:
    """Return a Python 3.13, on which the newest LocalStack runs, or this process's own if there is none."""
    for candidate in _candidates():
        version = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        if version.stdout.startswith("Python 3.13."):
            return candidate
    return Path(sys.executable).resolve()


def _candidates() -> Iterator[Path]:
    if path := shutil.which("python3.13"):
        yield Path(path)
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from sorted(versions.glob("3.13.*/bin/python3.13"), reverse=True)


def _install_packages(interpreter: Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    version = "3.13" if "3.13" in _run(str(interpreter), "--version") else "3.11"
    _run(uv, "venv", "--quiet", "--clear", "--python", str(interpreter), str(PYTHON.parents[1]))
    sync = (uv, "pip", "sync", "--quiet", "--compile-bytecode", "--python", str(PYTHON))
    _run(*sync, str(_SOURCE / f"requirements-{version}.txt"))
    if version == "3.11":
        _mend()
    # Built apart: LocalStack's own build tools would take the plug-in for a part of LocalStack.
    # Without the project's settings of uv: its build constraint is not that of the plug-in.
    install = (uv, "pip", "install", "--quiet", "--no-config", "--system-certs", "--python", str(PYTHON))
    _run(*install, "--no-deps", "--editable", str(_SOURCE))


def _mend() -> None:
    """Python 3.11 cannot evaluate a signature of LocalStack 4.13.1, `Lock | None`, though that says 3.10 is enough."""
    module = PYTHON.parents[1] / "lib" / "python3.11" / "site-packages" / "localstack" / "packages" / "api.py"
    mended = f"from __future__ import annotations\n{module.read_text()}"
    module.unlink()  # it is the same file as the installer's cache has
    module.write_text(mended)


def _jdk() -> Path:
    """The folder of a JDK."""
    for _ in range(2):
        compiler = shutil.which("javac")
        if compiler and int(_run(compiler, "-version").split()[1].partition(".")[0]) >= _OLDEST_JAVA:
            return Path(compiler).resolve().parents[1]
        _install_from_debian("openjdk-17-jdk-headless")
    raise LocalCloudError("javac is older than Java 17.", "Install a JDK 17 and put it on the PATH.")


def _install_dynamodb() -> None:
    if not shutil.which("npm"):
        _install_from_debian("npm")
    with tempfile.TemporaryDirectory(dir=ENVIRONMENT) as scratch:
        _run("npm", "pack", _SIMULATOR, "--silent", "--pack-destination", scratch)
        archive = next(Path(scratch).glob("*.tgz"))
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if digest != _SIMULATOR_SHA512:
            raise LocalCloudError(f"{_SIMULATOR} is not what it was: its SHA-512 is {digest}.", "Do not use it.")
        with tarfile.open(archive) as packed:
            packed.extractall(scratch, filter="data")
        shutil.rmtree(_DYNAMODB, ignore_errors=True)
        _DYNAMODB.parent.mkdir(parents=True, exist_ok=True)
        (Path(scratch) / "package" / "emulator").rename(_DYNAMODB)


def _make_agent(jdk: Path) -> None:
    with tempfile.TemporaryDirectory(dir=ENVIRONMENT) as scratch:
        _run(str(jdk / "bin" / "javac"), "-d", scratch, str(_SOURCE / "NoAgent.java"))
        manifest = Path(scratch) / "manifest"
        manifest.write_text("Premain-Class: NoAgent\n")
        arguments = ("cfm", str(_DYNAMODB / _AGENT), str(manifest), "-C", scratch, "NoAgent.class")
        _run(str(jdk / "bin" / "jar"), *arguments)


def _link(target: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _install_from_debian(package: str) -> None:
    root = [] if os.geteuid() == 0 else ["sudo"]
    _run(*root, "apt-get", "update", "--quiet=2")
    quiet = ("--quiet=2", "--yes", "--no-install-recommends")
    _run(*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", *quiet, package)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LocalCloudError(f"{command[0]} is not there.", "Install it, then run it again.") from None
    if done.returncode:
        raise LocalCloudError(f"{' '.join(command)} failed:\n{done.stderr.strip()}", "Mend that, then run it again.")
    return done.stdout + done.stderr


if __name__ == "__main__":
    run_main(main)
