"""The commands of `leaseway`: one module for each group of commands."""
