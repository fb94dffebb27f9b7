"""Where tasks and metrics get data from."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

__all__ = ["DataFolders"]


class DataFolders(Protocol):
    """Finds the files of data sets; see ``sgpbench.data.DataStore``."""

    def file(self, dataset: str, name: str) -> Path:
        """The verified local path of a file.

        Raises:
            DataError: it is missing or damaged; the message holds the command that fetches it.
        """

    def find(self, dataset: str, name: str) -> Path | None:
        """The same, or ``None`` where the file is missing."""
