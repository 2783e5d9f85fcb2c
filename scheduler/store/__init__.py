"""What must survive a restart; the only place that knows SQL."""
