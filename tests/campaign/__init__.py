"""`make campaign`: thousands of jobs on a deployed stack while workers die, the engine restarts and calls fail."""
