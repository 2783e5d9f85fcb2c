"""The HTTP routes; one noun is one file."""
