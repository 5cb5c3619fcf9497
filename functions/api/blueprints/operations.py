"""What operators and integrators ask for: is it alive, what does it offer."""

from chalice.app import Blueprint

from api.routes import Call, Operation, operation
from api.views import Health

operations = Blueprint(__name__)

_TAG = "Operations"


@operation(operations, Operation(method="GET", path="/health", tag=_TAG, summary="Is the API alive?", answer=Health))
def health(call: Call[None, None]) -> Health:
    """Answers without asking any other part."""
    return Health(status="ok")
