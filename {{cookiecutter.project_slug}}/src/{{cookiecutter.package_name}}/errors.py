"""What goes wrong for a reason that a user can mend."""


class UserError(Exception):
    """One plain line that names the field and the fix; the command line prints it and exits 1."""


def lines_of(error: Exception) -> list[str]:
    """Return the lines of an error as any terminal shows them, control characters spelt out."""
    return [
        "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
        for line in str(error).split("\n")
    ]
