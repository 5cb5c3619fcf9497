"""The retention function: what belonged to removed jobs is deleted."""
