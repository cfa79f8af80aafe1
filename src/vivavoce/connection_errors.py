"""Why a connection could not be made, in words for users."""

from __future__ import annotations

import os
import socket
import ssl


def connection_failure(error: BaseException) -> str:
    """The reason of a failed connection, from the system's error behind `error` where there is one.

    Without error numbers, and without the Python tuples that asyncio puts into its errors.
    """
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case ssl.SSLError():
                return cause.reason or str(cause)
            case socket.gaierror(strerror=str(reason)):
                return reason
            case OSError(errno=int(number)):
                return os.strerror(number)
            case _:
                cause = cause.__cause__ or cause.__context__
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):  # asyncio's sum of the errors of several addresses
        return "none of its addresses accepts a connection"
    return str(error) or type(error).__name__
