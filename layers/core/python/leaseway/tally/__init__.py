"""The tally: what the jobs table's stream adds up to, for jobs and for tasks."""
