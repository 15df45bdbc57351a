"""What offline runs of Weights & Biases hold, read from their files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.support.patience import patience


def records_of(path: Path) -> list[bytes]:
    """The records of a .wandb file: a log of LevelDB's format, after a header of 7 bytes.

    In blocks of 32 KiB: checksum (4), length (2), type (1; 1 whole, 2 first, 3 middle, 4 last part), contents.
    """
    data, at, found, parts = path.read_bytes(), 7, [], b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts = (b"" if kind in (1, 2) else parts) + data[at + 7 : at + 7 + length]
        if kind in (1, 4):
            found.append(parts)
        at += 7 + length
    return found


def lines_of(folder: Path, count: int) -> list[dict[str, Any]]:
    """What the offline runs of a run folder have logged, in their order; wandb's process may write after the end."""
    from wandb.proto import wandb_internal_pb2

    until = time.monotonic() + patience(10.0)
    lines: list[dict[str, Any]] = []
    while len(lines) < count and time.monotonic() < until:
        lines = []
        for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
            for data in records_of(path):
                record = wandb_internal_pb2.Record()
                record.ParseFromString(data)
                if record.WhichOneof("record_type") == "history":
                    items = [
                        (item.key or "/".join(item.nested_key), item.value_json)
                        for item in record.history.item
                    ]
                    lines.append({key: json.loads(value) for key, value in items})
        time.sleep(0.1)
    return lines
