"""Controlling jobs: cancel, retry, replay and remove."""
