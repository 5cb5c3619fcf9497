"""The HTTP function: routes parse and authorise, the domain decides, the answer is JSON."""
