"""Creating jobs: one at a time and in batches."""
