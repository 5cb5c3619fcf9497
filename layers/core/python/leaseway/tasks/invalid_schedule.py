"""The refusal that cron expressions, intervals and time zones share."""

from leaseway.errors import InvalidInputError


class InvalidScheduleError(InvalidInputError):
    """The schedule cannot be kept."""

    code = "INVALID_SCHEDULE"
