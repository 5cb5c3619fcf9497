"""Makes the first Admin when the stack is deployed."""
