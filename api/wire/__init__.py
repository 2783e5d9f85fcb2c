"""What goes over the wire: models of bodies and answers. Base units, times as ISO 8601 UTC."""
