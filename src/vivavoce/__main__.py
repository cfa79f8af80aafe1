"""Entry point of `python -m vivavoce`, the same as the command `vivavoce`."""

from vivavoce.cli.main import app

if __name__ == "__main__":
    app()
