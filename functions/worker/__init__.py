"""The worker function: messages of the jobs queue become executor runs."""
