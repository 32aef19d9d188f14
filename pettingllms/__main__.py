"""`python -m pettingllms`."""

from pettingllms.cli import main

if __name__ == "__main__":
    main()
