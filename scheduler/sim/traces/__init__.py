"""Files of jobs: one format is one file here, known by its columns; `formats` reads any of them."""
