"""Failures of the local tools, worded for the person at the terminal."""


class LocalCloudError(Exception):
    """A step failed: `what` names it and the reason, `todo` is what the reader can do about it."""

    def __init__(self, what: str, todo: str = "") -> None:
        self.what = what
        self.todo = todo
        super().__init__(f"{what}\n{todo}" if todo else what)
