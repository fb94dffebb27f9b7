"""A weighted mean, its variance and its skewness, where prompts lie in strata and clusters.

**Strata** are what the task fixed: 800 prompts of ``comp`` are about numeracy in every run of it, so that the difference
between categories is no uncertainty of a mean over them. **Clusters** hold prompts that are not independent (the same
text, the same photograph); in ``comp`` one text stands 141 times among the 400 prompts of its category.

The squares of a handful of such clusters say next to nothing about a variance. Their sizes, though, are known, and what
is the same for all clusters of a stratum can be learnt from all of them:

1. In a stratum a prompt's value is the stratum's mean, an effect of its cluster and a part of its own. ``share`` is the
   effect's share of the variance (the intraclass correlation), found by restricted maximum likelihood; the other strata
   count half, since tasks repeat their texts for one reason and shares differ less than they scatter.
2. A cluster with weights ``w`` adds ``s² · ((1 - share) · sum(w²) + share · sum(w)²)`` to the variance of the weighted
   sum. ``s²`` is the variance of one prompt, the larger of what the clusters' means and what all prompts show.
3. The third central moment of the sum follows likewise: in a cluster two prompts share their draw with probability
   ``share``, three with probability ``share ** 1.5``.
4. Degrees of freedom are Satterthwaite's over strata, each with one less than it has clusters.

Sources: Laird and Ware 1982 (random effects by restricted maximum likelihood); Satterthwaite 1946; Cochran 1977, chapter 5
(stratified means). ``docs/statistics.md`` has the simulations that led here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

__all__ = ["Design", "Estimates", "Floats", "Ints", "Labels", "codes_of", "effect_shares", "strata_of"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Labels: TypeAlias = Sequence[str] | npt.ArrayLike

_SHARES: Floats = np.concatenate(([0.0], np.geomspace(1e-3, 0.5, 40), 1 - np.geomspace(0.45, 1e-4, 23)))
_OTHER_STRATA = 0.5
"""What the likelihood of another stratum counts when the share of one is chosen."""


def codes_of(labels: Labels) -> Ints:
    """Labels as numbers from 0, in the order of the labels: (prompts,)."""
    return np.unique(np.asarray(labels), return_inverse=True)[1].reshape(-1).astype(np.int64)


def strata_of(strata: Ints, clusters: Ints) -> Ints:
    """Strata within which clusters can be compared: (prompts,) numbers from 0.

    Strata that have a cluster in common become one, as clusters must be independent of each other. Strata of a single
    cluster, which show no variance, become one too; a lone one joins the smallest other stratum.
    """
    shape = (int(strata.max()) + 1, int(clusters.max()) + 1)
    holds = sparse.csr_array((np.ones(strata.size), (strata, clusters)), shape=shape)
    linked = csgraph.connected_components(holds @ holds.T, directed=False)[1]
    codes = codes_of(linked[strata])
    first = np.unique(clusters, return_index=True)[1]
    size = np.bincount(codes[first])
    lonely = size == 1
    if lonely.any() and size.size > 1:
        home = np.flatnonzero(lonely)[0]
        joined = np.where(lonely, home, np.arange(size.size))
        if lonely.sum() == 1:
            joined[home] = np.where(lonely, np.iinfo(np.int64).max, size).argmin()
        codes = codes_of(joined[codes])
    return codes


@dataclass(frozen=True, slots=True)
class Design:
    """How the prompts of a stratum lie in clusters. Arrays over clusters unless said otherwise."""

    codes: Ints
    """Cluster of each prompt, from 0."""
    sizes: Ints
    weight: Floats
    """Sum of the prompts' weights."""
    squares: Floats
    """Sum of the prompts' squared weights."""
    cubes: Floats
    """Sum of the prompts' cubed weights."""
    mean_of: sparse.csr_array
    """Prompts → mean of each cluster: ``(clusters, prompts)``."""

    @classmethod
    def of(cls, weights: Floats, clusters: Ints) -> Design:
        """The design of prompts with these weights and cluster labels."""
        codes = codes_of(clusters)
        sizes = np.bincount(codes)
        columns = np.arange(codes.size)
        return cls(
            codes=codes,
            sizes=sizes,
            weight=np.bincount(codes, weights).astype(np.float64),
            squares=np.bincount(codes, weights**2).astype(np.float64),
            cubes=np.bincount(codes, weights**3).astype(np.float64),
            mean_of=sparse.csr_array((1.0 / sizes[codes], (codes, columns)), shape=(sizes.size, codes.size)),
        )

    def means(self, values: Floats) -> Floats:
        """Means of clusters, (rows, clusters), of ``values``: (rows, prompts)."""
        return np.ascontiguousarray((self.mean_of @ values.T).T)


def _likelihood(values: Floats, design: Design) -> Floats:
    """Restricted log-likelihood of every share of ``_SHARES``, its greatest 0: (shares, rows).

    0 throughout where no cluster holds two prompts or all values are the same: there the share cannot be learnt.
    ``values``: (rows, prompts), with mean 0.
    """
    rows, prompts = values.shape
    clusters = design.sizes.size
    likelihood = np.zeros((_SHARES.size, rows))
    if clusters in (1, prompts):
        return likelihood
    means = design.means(values)
    squares = (values**2).sum(axis=1)
    within = np.maximum(squares - (means**2 * design.sizes).sum(axis=1), 0.0)
    sizes, kind = np.unique(design.sizes, return_inverse=True)
    count = np.bincount(kind).astype(float)
    of_size = sparse.csr_array((np.ones(clusters), (kind, np.arange(clusters))), shape=(sizes.size, clusters))
    first = (of_size @ means.T).T
    second = (of_size @ (means**2).T).T
    for index, share in enumerate(_SHARES):
        inflation = 1 + (sizes - 1) * share
        precision = sizes / inflation
        centre = (first * precision).sum(axis=1, keepdims=True) / (count * precision).sum()
        between = ((second - 2 * centre * first + count * centre**2) * precision).sum(axis=1)
        total = np.maximum(between + within / (1 - share), np.finfo(float).tiny)
        likelihood[index] = -0.5 * (
            (count * np.log(inflation)).sum()
            + (prompts - clusters) * np.log1p(-share)
            + (prompts - 1) * np.log(total)
            + np.log((count * precision).sum())
        )
    likelihood -= likelihood.max(axis=0)
    likelihood[:, squares == 0] = 0.0
    return likelihood


def effect_shares(values: Sequence[Floats], designs: Sequence[Design]) -> Floats:
    """The share of the clusters' effect in the variance of one prompt, in [0, 1), of each stratum: (strata, rows).

    ``values``: of each stratum, (rows, prompts), with mean 0. 0 where no cluster holds two prompts: there it decides
    nothing.
    """
    likelihoods = [_likelihood(part, design) for part, design in zip(values, designs, strict=True)]
    total = np.sum(likelihoods, axis=0)
    repeats = np.array([[design.sizes.max() > 1] for design in designs])
    chosen = [_SHARES[(own + _OTHER_STRATA * (total - own)).argmax(axis=0)] for own in likelihoods]
    return np.where(repeats, chosen, 0.0)


@dataclass(frozen=True, slots=True)
class Estimates:
    """Weighted means of rows over the same prompts, and how they scatter. Arrays over rows unless said otherwise."""

    mean: Floats
    error: Floats
    """Standard error; 0 where a row is constant within every stratum, or there is a single cluster."""
    skewness: Floats
    """Of the mean's distribution."""
    freedom: Floats
    """Degrees of freedom of the error; 1 where it is 0."""
    effective: Floats
    """Effective number of clusters: ``(sum v)² / sum v²`` over the variances ``v`` that clusters add."""
    constant: npt.NDArray[np.bool_]
    """Whether a row has one value in each stratum."""
    clusters: int
    """Of all strata."""
    stratum_clusters: Ints
    """(strata,)"""
    stratum_shares: Floats
    """(strata,), parts of the weight."""
    stratum_means: Floats
    """(strata, rows)"""

    @classmethod
    def of(cls, values: Floats, weights: Floats, clusters: Ints, strata: Ints) -> Estimates:
        """Estimates from ``values``, (rows, prompts) without NaN; the others are (prompts,)."""
        strata = strata_of(strata, clusters)
        members = [np.flatnonzero(strata == stratum) for stratum in range(int(strata.max()) + 1)]
        parts = [np.ascontiguousarray(values[:, inside]) for inside in members]
        constant = np.all([np.ptp(part, axis=1) == 0 for part in parts], axis=0)
        # A constant row has its mean exactly, whatever the weights' rounding.
        means = np.array(
            [
                np.where(np.ptp(part, axis=1) == 0, part[:, 0], part @ weights[inside] / weights[inside].sum())
                for part, inside in zip(parts, members, strict=True)
            ]
        )
        shares = np.array([weights[inside].sum() for inside in members]) / weights.sum()
        one_value = np.ptp(means, axis=0) == 0
        mean = np.where(one_value, means[0], shares @ means)
        designs = [Design.of(weights[inside] / weights.sum(), clusters[inside]) for inside in members]
        variance, third, squares, freedom = _moments(parts, designs)
        variance[constant], third[constant] = 0.0, 0.0
        scattered = variance > 0
        safe = np.where(scattered, variance, 1.0)
        return cls(
            mean=mean,
            error=np.sqrt(variance),
            skewness=np.where(scattered, third / safe**1.5, 0.0),
            freedom=np.where(scattered, safe**2 / np.where(freedom > 0, freedom, 1.0), 1.0),
            effective=np.where(scattered, safe**2 / np.where(squares > 0, squares, 1.0), 1.0),
            constant=constant,
            clusters=sum(design.sizes.size for design in designs),
            stratum_clusters=np.array([design.sizes.size for design in designs]),
            stratum_shares=shares,
            stratum_means=means,
        )


def _moments(parts: Sequence[Floats], designs: Sequence[Design]) -> tuple[Floats, Floats, Floats, Floats]:
    """Of every row: variance, third central moment, sum of squared variances of clusters, and Satterthwaite's sum."""
    centred = [part - part.mean(axis=1, keepdims=True) for part in parts]
    variance, third, squares, freedom = np.zeros((4, len(parts[0])))
    for values, design, shares in zip(centred, designs, effect_shares(centred, designs), strict=True):
        clusters = design.sizes.size
        if clusters == 1:
            continue
        share = shares[:, None]
        precision = design.sizes / (1 + (design.sizes - 1) * share)
        total = precision.sum(axis=1)
        means = design.means(values)
        centre = (means * precision).sum(axis=1, keepdims=True) / total[:, None]
        within = np.maximum((values**2).sum(axis=1) - (means**2 * design.sizes).sum(axis=1), 0.0)
        between = ((means - centre) ** 2 * precision).sum(axis=1)
        one_prompt = np.maximum(between / (clusters - 1), (between + within / (1 - shares)) / (values.shape[1] - 1))
        of_cluster = one_prompt[:, None] * ((1 - share) * design.squares + share * design.weight**2)
        added = of_cluster.sum(axis=1)
        variance += added
        squares += (of_cluster**2).sum(axis=1)
        freedom += added**2 / (clusters - 1)
        cubed = (design.means((values - centre) ** 3) * precision).sum(axis=1) / total
        pairs = design.squares * design.weight - design.cubes
        triples = design.weight**3 - 3 * design.weight * design.squares + 2 * design.cubes
        third += (
            cubed * _third_moment_factor(total) * (design.cubes + 3 * share * pairs + share**1.5 * triples).sum(axis=1)
        )
    return variance, third, squares, freedom


def _third_moment_factor(number: Floats) -> Floats:
    """Makes the mean third power of residuals unbiased; 0 where too few values show no skewness."""
    enough = number > 2.5
    safe = np.where(enough, number, 3.0)
    return np.where(enough, safe**2 / ((safe - 1) * (safe - 2)), 0.0)
