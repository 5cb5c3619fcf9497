"""One module a job type; each declares `TYPE`, and nothing else has to know of it."""
