"""`python -m pywerf` is the `werf` command."""

from pywerf.cli.main import main

if __name__ == "__main__":
    main()
