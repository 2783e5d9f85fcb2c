"""The site in a browser: pages made here, kept up to date by one stream of events."""
