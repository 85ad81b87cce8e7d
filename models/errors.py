"""The one exception that means: the user gave something that cannot be used."""


class BadInputError(ValueError):
    """Something the user named or set cannot be used; its text is one line that says why.

    The command line prints that line and exits with code 2; from Python it is a `ValueError`.
    """
