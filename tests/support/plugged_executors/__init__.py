"""Job types that only tests have, plugged in through `EXECUTORS_PACKAGE`."""
