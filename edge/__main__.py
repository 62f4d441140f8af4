"""``python -m edge_iqa``: the command line."""

from edge_iqa.cli import main

if __name__ == "__main__":
    main()
