"""`python -m vivavoce` is the same as `vivavoce`."""

from vivavoce.cli.main import app

if __name__ == "__main__":
    app()
