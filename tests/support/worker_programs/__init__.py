"""Programs that the tests of the worker run as processes, because they end their process."""
