"""The sweeper function: forgotten, expired and nearly due jobs."""
