"""Errors that a user can fix."""


class UserError(Exception):
    """One plain line that names the field and the fix; the command line prints it and exits 1."""


def lines_of(error: Exception) -> list[str]:
    """Return an error's lines for any terminal, with control characters spelled out."""
    return [
        "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
        for line in str(error).split("\n")
    ]
