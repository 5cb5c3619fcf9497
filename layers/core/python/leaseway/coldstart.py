"""Cold start: no garbage collection while a function's modules load.

Modules and botocore's service descriptions live as long as the process, so every pass over them is wasted: about 45 ms
of CPU per start, a quarter of it (`make bench-cold`).
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Pause the garbage collector around a handler's imports, and exempt from it what they have loaded."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()
