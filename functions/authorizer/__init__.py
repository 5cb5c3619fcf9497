"""The authorizer: authenticates the callers of the API."""
