"""`python -m barq` is `barq`."""

from __future__ import annotations

from barq.cli import main

if __name__ == "__main__":
    main()
