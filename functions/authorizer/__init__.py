"""The authorizer: tells the API who is calling."""
