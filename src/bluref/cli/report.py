"""`bluref report`: the page of a run, made again or before the run is over."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from bluref.cli.options import Input, MaybeOutput

SUMMARY = "Make the page of a run: did it work, before and after, curves, recipe."


@dataclass(frozen=True)
class Options:
    """What `bluref report` takes."""

    run: Input
    """A run folder, finished or not. Its frames are deblurred with the network it holds so far."""

    output: MaybeOutput = None
    """The page to write; report.html in the run folder if not given. One file, which opens in any
    browser with no network. It shows frames of your footage: mind whom you send it to."""

    data: Path | None = None
    """Where the footage lies now, if it was moved since training."""

    json: bool = False
    """Print one JSON object: report, bytes."""


def run(options: Options) -> int:
    """Write the page and say where it is."""
    from bluref.report.page.page import write_page
    from bluref.report.watch import Watch

    with Watch() as watch:
        page = write_page(options.run, output=options.output, data=options.data, tell=watch.on_page)
    if options.json:
        told = {"report": str(page), "bytes": page.stat().st_size}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stderr.write(f"look at it: {page}\n")
    return 0
