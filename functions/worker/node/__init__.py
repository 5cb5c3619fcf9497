"""A node: the worker function's own code as a long-lived process, on a machine or in a container.

`python -m worker.node` is the process; it has the settings of a function in its environment. `leaseway node`
puts them there and becomes it. Of the local tools only this package may know the domain.
"""
