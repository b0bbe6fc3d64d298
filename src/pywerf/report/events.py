"""The events that the views listen to; they stand in `util.events`, below everything that tells them."""

from pywerf.util.events import Level, Reporter, StepState

__all__ = ["Level", "Reporter", "StepState"]
