"""Where `bluref mend` puts what it needs, beside the mended clips."""

DATA = "data"
"""The folder with the roles of frames."""

RUN = "run"
"""The run folder."""
