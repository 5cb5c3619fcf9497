"""Job types that misbehave on purpose, for the tests of the worker."""
