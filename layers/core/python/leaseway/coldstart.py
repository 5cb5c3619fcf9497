"""Cold start: no garbage collection while modules load.

Importing this pauses the collector; `loaded` starts it again and moves all that was loaded out of its sight. Modules
and botocore's service descriptions live as long as the process, so every pass over them is wasted: about 45 ms of CPU
of a start, a quarter of it (`make bench-cold`).
"""

import gc

gc.disable()


def loaded() -> None:
    """Call as the last line of a handler's module."""
    gc.enable()
    gc.freeze()
