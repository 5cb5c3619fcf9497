"""A check of two settings against each other: the bucket must not remove an object before its job is removed."""

from leaseway.jobs.create.build import DAY_MS, LONGEST_DELAY_MS
from leaseway.settings import SettingsInvalidError, settings

_ATTEMPTS_DAYS = 1


def check_object_days() -> None:
    """Check that `OBJECT_DAYS` exceeds the longest delay of a job and `RETENTION_DAYS` together. No call.

    The bucket counts from the creation of a job, which writes its payload; the retention from its end:

        created, payload written ---366 days at most---> due ---attempts, 1 day---> ended ---RETENTION_DAYS---> removed

    A job that is retried by hand long after that may outlive its payload; its attempt then fails and says so.

    Raises:
        SettingsInvalidError: it does not; names both settings.
    """
    least = LONGEST_DELAY_MS // DAY_MS + _ATTEMPTS_DAYS + settings().retention_days
    if settings().object_days < least:
        raise SettingsInvalidError(
            f"ObjectDays is {settings().object_days}; with a RetentionDays of {settings().retention_days} it must be at"
            f" least {least}, or the bucket removes payloads and results before their jobs"
        )
