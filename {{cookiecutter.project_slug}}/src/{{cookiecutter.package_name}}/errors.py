"""What goes wrong for a reason that a user can mend."""


class UserError(Exception):
    """One plain line that names the field and the fix; the command line prints it and exits 1."""
