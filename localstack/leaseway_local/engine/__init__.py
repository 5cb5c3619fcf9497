"""The local engine: MiniStack or LocalStack as a process of this machine."""
