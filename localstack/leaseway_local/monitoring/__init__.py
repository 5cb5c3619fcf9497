"""Monitoring the local engine: forwarded metrics, alarm states and the dashboard page."""
