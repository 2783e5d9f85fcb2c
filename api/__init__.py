"""Shows: the HTTP face of a site."""
