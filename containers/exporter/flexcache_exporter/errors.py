"""What goes wrong, told so that the reader can put it right."""


class ExportError(Exception):
    """The export cannot go on.

    ``field`` is the option, file or folder that is wrong, ``fix`` what to do about it.
    """

    def __init__(self, field: str, message: str, fix: str):
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.fix = fix


class CheckFailed(ExportError):
    """An exported network does not compute what PyTorch computes."""
