"""Connecting to a deployment: AWS clients, stack outputs, sessions and the HTTP API."""
