"""Takes one member out of a zip file (a wheel is one), without unpacking or running anything else."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from sgpbench.data.download import disk_error
from sgpbench.errors import DataError

__all__ = ["extract_member"]


def extract_member(archive: Path, member: str, to: Path) -> None:
    """Writes a member of a zip file to ``to``, in constant memory.

    Raises:
        DataError: the archive is damaged or has no such member, or the disk refuses.
    """
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as source, to.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except KeyError:
        raise DataError(f"{archive} has no member {member}.") from None
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive} is not a sound zip file: {error}.") from None
    except OSError as error:
        raise disk_error(error, to) or error from None
