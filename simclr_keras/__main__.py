"""`python -m simclr_keras` is `simclr-keras`."""

from .cli.main import main

if __name__ == "__main__":
    main()
