"""`leaseway monitor`: nodes started together, a live table of what they do, and keys to disturb them."""

from leaseway_local.commands.monitor import monitor

__all__ = ["monitor"]
