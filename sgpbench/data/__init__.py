"""Data sets of others: manifests, local files and their hashes, fetching."""

from sgpbench.data.manifest import Manifest, dataset_names, load_manifest
from sgpbench.data.store import DataStore, FileState, WantedFile

__all__ = ["DataStore", "FileState", "Manifest", "WantedFile", "dataset_names", "load_manifest"]
