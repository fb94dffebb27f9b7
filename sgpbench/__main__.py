"""``python -m sgpbench``."""

from sgpbench.cli import main

if __name__ == "__main__":
    main()
