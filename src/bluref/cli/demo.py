"""`bluref demo`: the whole way on what is embedded, in minutes, with no download."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from bluref.cli.options import Output

SUMMARY = "See it work: simulate footage, train without pairs, deblur held-out frames."


@dataclass(frozen=True)
class Options:
    """What `bluref demo` takes."""

    output: Output = Path("demo")
    """Folder for the footage, the run and before_after.jpg. A demo that was interrupted goes on."""

    with_bound: bool = False
    """Train a network with pairs as well, for as many steps: the upper bound."""

    json: bool = False
    """Print one JSON object: psnr_input, psnr_output, psnr_warm_start, psnr_bound (null if it was
    not asked for), seconds, picture, report."""


def run(options: Options) -> int:
    """Run the demo and say plainly what came of it."""
    from bluref.report.demo import run_demo
    from bluref.report.watch import Watch

    with Watch() as watch:
        found = run_demo(
            options.output,
            with_bound=options.with_bound,
            observer=watch,
            tell=watch.on_message,
        )
    if options.json:
        told = {**asdict(found), "picture": str(found.picture), "report": str(found.report)}
        sys.stdout.write(json.dumps(told) + "\n")
        return 0
    gain = found.psnr_output - found.psnr_input
    verdict = f"{gain:+.2f} dB against the input: a {'gain' if gain > 0 else 'loss'}"
    lines = [
        f"blurry input                {found.psnr_input:6.2f} dB",
        f"after the warm start        {found.psnr_warm_start:6.2f} dB  (synthetic blur only)",
        f"trained without pairs       {found.psnr_output:6.2f} dB  ({verdict})",
    ]
    if found.psnr_bound is not None:
        lines.append(f"trained with pairs (bound)  {found.psnr_bound:6.2f} dB")
    lines.append("PSNR on the blurry frames of held-out clips of the same scenes; 8-bit RGB, mean")
    lines.append(f"{found.picture}, {found.report}  ({found.seconds:.0f} s)")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
