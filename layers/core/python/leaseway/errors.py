"""What can go wrong in the domain, as types. A docstring is the message; `code` is stable and public.

The kinds are here, and each domain defines its own below them. `api.problems` maps kinds to HTTP.

    LeasewayError
        BadCredentialsError
            UserDisabledError
        ConflictError
            AlreadyEndedError
            AlreadyReversedError
            AlreadyRunningError
            BalanceLimitError
            ClaimEndedError
            InsufficientFundsError
            KeyReusedError
            LeaseLostError
            MovedError
                VersionMovedError
            NotClaimableError
            NotFinishedError
            NotRepairableError
            NotRetryableError
            NotReversibleError
            OrderKeyFullError
            OwnRoleError
            OwnerRequiredError
            TaskExistsError
            UserExistsError
            UsernameTakenError
        InvalidInputError
            InvalidCursorError
            InvalidScheduleError
            NoEndedIndexError
            ObjectTooLargeError
            SameAccountError
            TtlTooLongError
            UnknownJobTypeError
            UrlRefusedError
            UseCursorError
            WeakPasswordError
        LockedOutError
        NotFoundError
            AccountNotFoundError
            DeadLetterNotFoundError
            EntryNotFoundError
            JobNotFoundError
            ObjectNotFoundError
            TaskNotFoundError
            UserNotFoundError
        NotYoursError
            CodeRefusedError
            InvitationRefusedError
            InvitationRequiredError
            RegistrationClosedError
        OutcomeUnknownError
            RepeatableOutcomeUnknownError
                WorkMovedError
        TokenRefusedError
            TokenExpiredError
            TokenRevokedError
        UnavailableError
            DependencyOutError
            FetchFailedError
                TooManyRedirectsError
            LedgerBehindError
"""

from typing import Any, ClassVar


class LeasewayError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "ERROR"

    def __init__(self, detail: str | None = None, **facts: Any) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        self.facts = facts
        super().__init__(self.detail)


class InvalidInputError(LeasewayError):
    """The request is malformed."""

    code = "INVALID_INPUT"

    def __init__(self, detail: str, *, field: str | None = None, **facts: Any) -> None:
        super().__init__(detail, **facts)
        self.field = field


class NotFoundError(LeasewayError):
    """There is no such thing."""

    code = "NOT_FOUND"


class NotYoursError(LeasewayError):
    """You may not do this."""

    code = "FORBIDDEN"


class ConflictError(LeasewayError):
    """The present state does not allow this."""

    code = "CONFLICT"


class MovedError(ConflictError):
    """It has changed since it was read."""

    code = "MOVED"


class OutcomeUnknownError(LeasewayError):
    """The answer was lost: the change may or may not have been made."""

    code = "OUTCOME_UNKNOWN"


class RepeatableOutcomeUnknownError(OutcomeUnknownError):
    """The answer was lost; send the same request with the same Idempotency-Key again."""


class UnavailableError(LeasewayError):
    """A required service does not answer; nothing was changed."""

    code = "UNAVAILABLE"
