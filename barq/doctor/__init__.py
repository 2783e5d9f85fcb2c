"""What this machine can and cannot do for Barq: one check, one small function, which needs neither root nor a site."""
