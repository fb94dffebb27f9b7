"""Every error sgpbench raises on purpose.

::

    SgpbenchError                the root; its message is meant for people
    ├── UsageError               the command line asks for something that does not exist (exit code 2)
    ├── ProtocolError            a protocol file is broken, unknown, or not the one a run was made with
    ├── PluginError              a task, model or metric plugin cannot be loaded
    ├── DataError                a data set is missing, damaged or has another hash
    │   ├── Gone                 an address does not serve the file; another one may
    │   └── Unreachable          a host cannot be connected to from here
    ├── StoreError               a run directory cannot be opened, is foreign, or is in use
    ├── ResultError              a published result or its evidence breaks the schema
    ├── MetricUnavailable        a metric lacks weights, a package or a judge on this machine
    ├── BudgetError              a budget is given for a model whose price is not known
    ├── BudgetReached            the next call might cross the budget (exit code 3: the run is incomplete)
    ├── RendererError            the rendering sandbox itself does not work here
    ├── TooLarge                 a site would be larger than a static host takes
    └── ModelError               a model cannot answer
        ├── ModelUnavailable     it cannot be used at all: no key, no weights, no server, not permitted
        ├── Stopped              the user stopped the run before it was asked
        ├── UnsupportedParameter the user set a parameter that the model refuses (exit code 2)
        └── TransientError       worth asking again: 5xx, time-outs, resets, unreadable bodies
            ├── RateLimited      the provider asks us to slow down; may carry a waiting time
            └── EndpointDown     nothing has come from the endpoint for too long, so the request was not sent

Those that one module alone raises and catches are defined there; a test holds this tree to all of them.
The command line prints the message in one line and leaves with ``exit_code``; it never shows a traceback for these.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

__all__ = [
    "BudgetError",
    "BudgetReached",
    "DataError",
    "MetricUnavailable",
    "ModelError",
    "ModelUnavailable",
    "PluginError",
    "ProtocolError",
    "RateLimited",
    "RendererError",
    "ResultError",
    "SgpbenchError",
    "Stopped",
    "StoreError",
    "TransientError",
    "UnsupportedParameter",
    "UsageError",
    "unknown_name",
]


class SgpbenchError(Exception):
    """What happened, to what, and (``remedy``) the command or step that helps."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def reword(self, change: Callable[[str], str]) -> None:
        """Changes the words, such as to take a key out of them; the error stays the same."""
        self.message = change(self.message)
        self.remedy = self.remedy and change(self.remedy)
        self.args = (self.message,)

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message


class UsageError(SgpbenchError):
    """The command line names something that does not exist or does not fit together."""

    exit_code = 2


class ProtocolError(SgpbenchError):
    """A protocol file is broken or unknown, or a run was made under another version of it."""


class PluginError(SgpbenchError):
    """A plugin cannot be loaded; the message names the plugin and its own error."""


class DataError(SgpbenchError):
    """A data set is missing, damaged, or differs from its manifest."""


class StoreError(SgpbenchError):
    """A run directory cannot be used: foreign, damaged, in use, or not writable."""


class ResultError(SgpbenchError):
    """A published result or its evidence does not follow the schema."""


class MetricUnavailable(SgpbenchError):
    """A metric cannot be computed on this machine; never replaced by a plausible number."""


class BudgetError(SgpbenchError):
    """A budget cannot be kept because a price is unknown."""


class BudgetReached(SgpbenchError):
    """The next call might cross the budget, so it was not made; a larger budget goes on from here."""

    exit_code = 3


class RendererError(SgpbenchError):
    """The sandbox cannot start or lost its workers for a reason that is not a drawing's."""


class ModelError(SgpbenchError):
    """A model gave no completion."""


class ModelUnavailable(ModelError):
    """The model cannot be used at all; asking again will not help (HTTP 400, 401, 403, 404; no key; no weights)."""


class Stopped(ModelError):
    """The user stopped the run, so the request was not made."""


class UnsupportedParameter(ModelError):
    """The user set a parameter that this model refuses."""

    exit_code = 2


class TransientError(ModelError):
    """The same request may well succeed later.

    ``retry_after`` is in seconds, if the provider gave one. ``maybe_billed`` says that the provider may have done (and
    charged for) the work although its answer never arrived whole: a time-out, a cut or unreadable body.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        maybe_billed: bool = False,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after
        self.maybe_billed = maybe_billed


class RateLimited(TransientError):
    """The provider refused the request because of its rate or concurrency (HTTP 429, 529)."""


def unknown_name(kind: str, name: str, known: Iterable[str], *, listing: str) -> UsageError:
    """A usage error for an unknown ``name`` that offers the nearest known ones and the command that lists all."""
    near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return UsageError(f"There is no {kind} named '{name}'.", remedy=f"{hint}See `{listing}`.")
