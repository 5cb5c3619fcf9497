"""Jobs: the state machine, the lease and the lists."""
