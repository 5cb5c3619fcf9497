"""The engine's process: MiniStack's ASGI app under uvicorn, on the loopback address only.

Started by `leaseway_local.engine.engine` with an environment of its own; settings come as arguments, not as variables,
because the functions inherit the variables.
"""

import argparse
import contextlib
import resource

import uvicorn


def _raise_file_limit() -> None:
    """Hundreds of sockets and pipes may be open at once; the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """Serve until told to stop; a clean stop saves the state."""
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
