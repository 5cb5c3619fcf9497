"""A node: the worker function's code as a long-lived process, on a machine or in a container.

`python -m worker.node` reads its settings from the environment, as a function does. `leaseway node` takes them from a
deployment and starts it.
"""
