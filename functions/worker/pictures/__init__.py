"""Pictures: reading them safely and scaling them. Pillow is imported by the first job that needs it."""
