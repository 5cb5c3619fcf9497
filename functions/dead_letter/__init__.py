"""The dead-letter function: messages that no claim settled are judged again."""
