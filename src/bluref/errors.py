"""What a user can cause: a problem, and how to mend it."""


class UserError(Exception):
    """Bad input, a missing file, a wrong shape: shown as one line and a fix, exit status 2.

    Args:
        problem: one line that names the file or the value that is wrong.
        fix: one line that says what to do about it.
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}\n  fix: {fix}")
        self.problem = problem
        self.fix = fix
