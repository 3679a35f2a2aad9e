"""The one kind of error that a user can put right.

Raise it with a sentence that says what was found, where, and what to do. The command line prints
the sentence alone and exits with code 2; a traceback means a fault of the project's own.
"""


class PecgError(Exception):
    """A fault in what the user gave: a folder, a file, a parameter, a full disk."""
