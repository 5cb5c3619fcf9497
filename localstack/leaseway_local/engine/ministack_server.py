"""The engine's process: MiniStack's ASGI app under uvicorn, on the loopback address only.

`leaseway_local.engine.ministack` starts it. Settings are arguments rather than variables, because the functions inherit
the variables.
"""

import argparse
import contextlib
import resource

import uvicorn


def _raise_file_limit() -> None:
    """Raise the limit on open files: hundreds of sockets and pipes may be open, and the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < needed:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def main() -> None:
    """Serve until the process is ended; SIGTERM saves the state first."""
    arguments = argparse.ArgumentParser(prog="leaseway-engine")
    arguments.add_argument("--port", type=int, required=True)
    _raise_file_limit()
    uvicorn.run(
        "ministack.app:app",
        host="127.0.0.1",
        port=arguments.parse_args().port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
        backlog=2048,
    )


if __name__ == "__main__":
    main()
