"""The generator: one of many nodes at a time produces messages, and another takes over when it dies."""

from leaseway.generator.lease import DeposedError, GeneratorLease, Held, give_up, renew, try_to_become
from leaseway.generator.messages import OWNER, produce
from leaseway.generator.numbers import take_number

__all__ = [
    "OWNER",
    "DeposedError",
    "GeneratorLease",
    "Held",
    "give_up",
    "produce",
    "renew",
    "take_number",
    "try_to_become",
]
