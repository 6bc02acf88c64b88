"""``python -m srfast``."""

from srfast.cli import main

if __name__ == "__main__":
    main()
