"""Forecasts of the limit from its own history: learned in a process of its own, never in the way of the loop."""
