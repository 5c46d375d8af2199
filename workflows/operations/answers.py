"""What the workflow service answers, in the project's error tree."""

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.service import RPCError, RPCStatusCode

from mediagate.errors import Conflict, InvalidRequest, NotFound, WorkflowsUnavailable

NO_RUN = "There is no such run."


@contextmanager
def translated(missing: str = NO_RUN) -> Iterator[None]:
    """Raise what the service refuses as NotFound (with the text `missing`), InvalidRequest or Conflict; everything else
    as WorkflowsUnavailable."""
    try:
        yield
    except RPCError as error:
        match error.status:
            case RPCStatusCode.NOT_FOUND:
                raise NotFound(missing) from error
            case RPCStatusCode.INVALID_ARGUMENT:
                raise InvalidRequest(f"The workflow service refuses this: {error.message}") from error
            case RPCStatusCode.FAILED_PRECONDITION | RPCStatusCode.ALREADY_EXISTS:
                raise Conflict(f"The workflow service refuses this: {error.message}") from error
        raise WorkflowsUnavailable(f"The workflow service does not answer as it should: {error.message}") from error
    except RuntimeError as error:  # a lazy client that cannot connect
        raise WorkflowsUnavailable(f"The workflow service cannot be reached: {error}") from error
