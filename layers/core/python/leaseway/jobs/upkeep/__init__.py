"""Upkeep of jobs: sweeping, dead letters and retention."""
