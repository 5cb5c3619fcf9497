"""Lambda for a LocalStack without Docker: each execution environment is a child process."""
