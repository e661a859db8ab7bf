"""`python -m lictor.codec` is the `lictor` command."""

from lictor.codec.cli.main import main

if __name__ == "__main__":
    main()
