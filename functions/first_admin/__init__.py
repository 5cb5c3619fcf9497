"""Makes the first Admin and checks the parameters when the stack is deployed."""
