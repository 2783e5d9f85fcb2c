"""Proves the scheduler: traces, a virtual clock, baselines, a bound of what is possible, figures and reports."""
