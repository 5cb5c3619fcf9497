"""Finding jobs: one by id, and lists."""
