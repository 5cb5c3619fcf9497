"""The tally function: the jobs stream becomes counters."""
