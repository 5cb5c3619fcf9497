"""LocalStack without Docker, for the integration tests: built once, run beside one command."""
