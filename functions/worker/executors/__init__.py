"""One module per job type; each declares `TYPE`, and nothing else refers to it."""
