"""Makes `python -m simclr_keras` run the command `simclr-keras`."""

from .cli.main import main

if __name__ == "__main__":
    main()
