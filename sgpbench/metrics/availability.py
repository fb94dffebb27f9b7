"""Whether a metric can be computed here, found out without loading or asking anything; and how to fetch weights."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sgpbench.errors import DataError, MetricUnavailable, PluginError, UsageError
from sgpbench.metrics.registry import BUILT_IN, parse
from sgpbench.metrics.weights import WEIGHTS, Found, WeightsSource, find_weights, locate

__all__ = ["fetch_weights", "needed_weights", "why_unavailable"]


def needed_weights(text: str) -> tuple[str, ...]:
    """Names of the weights that a metric needs, as asked for: ``clip``, ``clip[fast]``, ``vqa[blip-base]``.

    Weights may also be asked for by their own name: ``siglip-base-patch16-384``.

    Raises:
        UsageError: there is no such metric, or no such argument.
    """
    if text in WEIGHTS:
        return (text,)
    name, argument = parse(text)
    if name not in BUILT_IN:
        raise UsageError(f"'{name}' is not a built-in metric.", remedy="See `sgpbench metrics list`.")
    weights = BUILT_IN[name].weights
    if name == "vqa" and argument:
        return (argument, *weights[1:]) if argument in WEIGHTS else weights[1:]
    if argument and weights:
        return _of_profile(name, argument)
    return weights


def _of_profile(name: str, argument: str) -> tuple[str, ...]:
    from sgpbench.metrics import clip, dino, hps, siglip
    from sgpbench.metrics.encoder_metric import profile

    parts = {"clip": clip.PARTS, "siglip": siglip.PARTS, "hps": hps.PARTS, "dino": dino.PARTS, "diversity": dino.PARTS}
    return tuple(part.weights for part in profile(name, BUILT_IN[name].version, argument, parts[name]).parts)


def why_unavailable(text: str) -> MetricUnavailable | PluginError | None:
    """What a built-in metric lacks here, with the remedy, or ``None``. Whether a judge answers is not asked.

    Raises:
        UsageError: there is no such metric.
    """
    weights = needed_weights(text)
    if parse(text)[0] == "vqa" and len(weights) == 1:
        # A model answers: sentences are needed for free-form answers alone.
        return None
    try:
        if weights:
            locate(text, weights)
    except MetricUnavailable as error:
        return error
    return None


def fetch_weights(text: str, say: Callable[[str], None]) -> int:
    """Fetches what a metric lacks from the Hugging Face hub, at the pinned revisions; returns how many files came.

    Raises:
        DataError: the hub cannot be reached or has no such file.
        UsageError: there is no such metric.
    """
    fetched = 0
    for name in needed_weights(text):
        source = WEIGHTS[name]
        if isinstance(find_weights(source), Found):
            say(f"{source.name}: here")
            continue
        say(f"{source.name}: fetching {source.repository} at {source.revision[:12]}")
        fetched += _fetch(source)
    return fetched


def _fetch(source: WeightsSource) -> int:
    import httpx2
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    # It would log each of its own retries, twice.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        there = set(HfApi().list_repo_files(source.repository, revision=source.revision))
        weights = next((name for name in source.weights if name in there), None)
        if weights is None:
            raise DataError(f"{source.repository} at {source.revision} has none of {', '.join(source.weights)}.")
        wanted = [weights, *source.beside, *(name for name in source.optional if name in there)]
        for name in wanted:
            hf_hub_download(source.repository, name, revision=source.revision)
    except OfflineModeIsEnabled:
        raise DataError(
            "The hub may not be asked: HF_HUB_OFFLINE is set.", remedy="Unset it to fetch weights."
        ) from None
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise DataError(
            f"{source.repository} could not be fetched: {str(error).splitlines()[0].rstrip('.')}.",
            remedy=f"Try again, or put its files into a folder {source.name} and set SGPBENCH_WEIGHTS_DIR.",
        ) from error
    return len(wanted)
