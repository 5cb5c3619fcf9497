"""What goes wrong with the local cloud, in words for the person at the terminal."""


class LocalCloudError(Exception):
    """A step failed: `what` says which and why, `todo` what the reader can do about it."""

    def __init__(self, what: str, todo: str = "") -> None:
        self.what = what
        self.todo = todo
        super().__init__(f"{what}\n{todo}" if todo else what)
