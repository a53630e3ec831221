"""Forecasts of time, memory and bytes at any size, from the records of the benchmarks."""

from spladelake.forecast.estimates import Estimate, estimates, extrapolations
from spladelake.forecast.slopes import Line, Slopes, fitted, load_slopes

__all__ = ["Estimate", "Line", "Slopes", "estimates", "extrapolations", "fitted", "load_slopes"]
