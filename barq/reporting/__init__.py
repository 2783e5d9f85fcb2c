"""A month of a site on paper: read beside a revenue meter's file, and written as a page and as a table."""
