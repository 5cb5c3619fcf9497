"""The refusal that cron expressions, intervals and time zones share."""

from leaseway.errors import InvalidInputError


class InvalidScheduleError(InvalidInputError):
    """The schedule is invalid."""

    code = "INVALID_SCHEDULE"
