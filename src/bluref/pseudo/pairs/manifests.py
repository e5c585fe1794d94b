"""Files that let other programs open a folder of pairs: Hugging Face `datasets`, FiftyOne."""

import hashlib
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bluref.media.whole import write_text_whole
from bluref.pseudo.pairs.record import KINDS, PairRecord

METADATA, CARD = "metadata.jsonl", "README.md"
FIFTYONE = "fiftyone"

_CARD = """---
task_categories:
- image-to-image
tags:
- deblurring
configs:
- config_name: default
  data_files:
  - split: train
    path:
    - {metadata}
    - blur/*.png
    - sharp/*.png
    - trust/*.png
---

# {count} pairs for deblurring

Blurry frames and their pseudo-sharp versions, made by BluRef {version} from unpaired footage.
Mean coverage {coverage:.3f}, mean trust {trust:.3f}, expected PSNR {psnr:.1f} dB.

- `blur/NAME.png`: the blurry frame.
- `sharp/NAME.png`: its pseudo-sharp version. Where trust reaches 0.5 it shows what the references
  show; below, the network's output comes in, up to all of it where trust is 0.
- `trust/NAME.png`: how far to believe each pixel, 0 to 255. Weigh the loss by it if you can.
- `pairs.csv`: a row for each pair. `expected_psnr` is an estimate, made without the truth: sort by
  it to keep the best share. Its level may be off by 1.5 dB or more.

```python
from datasets import load_dataset

pairs = load_dataset("imagefolder", data_files="PAIRS/**", split="train")  # blur, sharp, trust, ...
```

```python
import fiftyone as fo

pairs = fo.Dataset.from_dir("PAIRS/fiftyone", dataset_type=fo.types.FiftyOneDataset)
```
"""


def write_manifests(folder: Path, records: Sequence[PairRecord], *, version: str) -> None:
    """Write metadata.jsonl and README.md for `datasets`, and fiftyone/ for FiftyOne.

    Args:
        folder: of the pairs.
        records: of the pairs, at least one.
        version: of BluRef.

    Raises:
        UserError: the disk is full, or the place may not be written to.
    """
    lines = (json.dumps(_line(record), ensure_ascii=False) + "\n" for record in records)
    write_text_whole(folder / METADATA, "".join(lines))
    card = _CARD.format(
        metadata=METADATA,
        count=len(records),
        version=version,
        coverage=statistics.fmean(r.coverage for r in records),
        trust=statistics.fmean(r.mean_trust for r in records),
        psnr=statistics.fmean(r.expected_psnr for r in records),
    )
    write_text_whole(folder / CARD, card)
    _write_fiftyone(folder / FIFTYONE, records, version)


def _line(record: PairRecord) -> dict[str, Any]:
    """`datasets` makes a column of pictures `blur` out of a column `blur_file_name`."""
    return {f"{kind}_file_name": f"{kind}/{record.name}.png" for kind in KINDS} | record.told()


def _write_fiftyone(folder: Path, records: Sequence[PairRecord], version: str) -> None:
    """A grouped dataset with the slices of `KINDS`, in FiftyOne's format of plain JSON.

    That is the one whose metadata names no version of FiftyOne; paths count from its folder.
    """
    told = {
        "name": "bluref-pairs",
        "media_type": "group",
        "info": {"made_by": f"BluRef {version}", "pairs": len(records)},
    }
    samples = [_sample(record, kind) for record in records for kind in KINDS]
    write_text_whole(folder / "metadata.json", json.dumps(told, indent=1) + "\n")
    write_text_whole(
        folder / "samples.json", json.dumps({"samples": samples}, ensure_ascii=False) + "\n"
    )


def _sample(record: PairRecord, kind: str) -> dict[str, Any]:
    # Identifiers of FiftyOne are 24 hexadecimal digits; these stay the same when written again.
    group = hashlib.sha256(record.name.encode()).hexdigest()[:24]
    about = {name: v for name, v in record.told().items() if not name.endswith(("sha256", "key"))}
    return {
        "filepath": f"../{kind}/{record.name}.png",
        "tags": [kind],
        "group": {"_cls": "Group", "_id": {"$oid": group}, "name": kind},
        **about,
    }
