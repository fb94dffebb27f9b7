"""Files of the Hugging Face hub, by way of ``huggingface_hub`` (which reads ``HF_TOKEN``, ``HF_ENDPOINT`` and proxies)."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import httpx2

from sgpbench.data.download import Gone, Unreachable, disk_error
from sgpbench.data.manifest import Hub
from sgpbench.errors import DataError

__all__ = ["fetch_from_hub", "hub_address"]

_ACCEPT = "Accept them on its page, then set HF_TOKEN to a token of yours."


def hub_address(hub: Hub) -> str:
    """Where a browser gets the file."""
    from huggingface_hub import hf_hub_url

    return hf_hub_url(hub.repo, hub.path, repo_type=hub.kind, revision=hub.revision, endpoint=_endpoint())


def fetch_from_hub(hub: Hub, part: Path) -> None:
    """Brings a file of the hub to ``part``; a transfer that was cut goes on where it was.

    Raises:
        DataError: the hub cannot be reached, refuses, or has no such file; or the disk refuses.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it would log each of its own retries
    address = hub_address(hub)
    folder = part.with_name(f".hub-{part.name}")
    try:
        found = hf_hub_download(
            hub.repo,
            hub.path,
            repo_type=hub.kind,
            revision=hub.revision,
            local_dir=folder,
            etag_timeout=20,
            endpoint=_endpoint(),
        )
        Path(found).replace(part)
        shutil.rmtree(folder, ignore_errors=True)
    except GatedRepoError:
        raise DataError(f"{address} is open only to those who accepted its terms.", remedy=_ACCEPT) from None
    except RepositoryNotFoundError:
        raise DataError(f"The hub has no {hub.kind} '{hub.repo}' for this HF_TOKEN.") from None
    except OfflineModeIsEnabled:
        raise Unreachable(f"{address} was not asked for: HF_HUB_OFFLINE is set.") from None
    except LocalEntryNotFoundError as error:
        raise Unreachable(f"{address} cannot be reached from here: {_first_line(error.__cause__ or error)}.") from None
    except EntryNotFoundError:
        raise Gone(f"The hub has no file {hub.path} in '{hub.repo}' at {hub.revision}.") from None
    except (HfHubHTTPError, httpx2.HTTPError) as error:
        raise DataError(f"{address} failed: {_first_line(error)}.") from None
    except OSError as error:
        known = disk_error(error, part)
        raise known or DataError(f"{address} failed: {_first_line(error)}.") from None


def _endpoint() -> str:
    """``HF_ENDPOINT`` as it is now; the library keeps what it was when it was imported."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0].rstrip(". ") if lines else type(error).__name__
