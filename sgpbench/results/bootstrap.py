"""Names of ``intervals`` under the address where the rest of the package imports them."""

from sgpbench.results.intervals import Bounds, Floats, Interval, Ints, weighted_mean_intervals

__all__ = ["Bounds", "Floats", "Interval", "Ints", "weighted_mean_intervals"]
