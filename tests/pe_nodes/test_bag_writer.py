"""The bag stays readable when the disk does not hold out."""

from __future__ import annotations

import multiprocessing
import resource
from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from pe_nodes.bag_writer import BagWriteError, BagWriter

TOPIC, TYPE = "/text", "std_msgs/msg/String"


def message(size: int) -> bytes:
    store = get_typestore(Stores.ROS2_JAZZY)
    return bytes(store.serialize_cdr(store.types[TYPE](data="x" * size), TYPE))


def read(path: Path) -> list[int]:
    with Reader(path) as reader:
        return [stamp for _, stamp, _ in reader.messages()]


def test_what_is_written_is_read(tmp_path):
    bag = BagWriter(tmp_path / "bag", {"pe": '{"seed": 1}'})
    bag.add_topic(TOPIC, TYPE, [])
    for stamp in range(1, 101):
        bag.write(TOPIC, stamp, message(10))
    bag.close()
    assert read(tmp_path / "bag") == list(range(1, 101))
    assert '"seed": 1' in (tmp_path / "bag" / "metadata.yaml").read_text()
    assert not list(tmp_path.glob(".*"))


def test_an_existing_bag_is_not_touched(tmp_path):
    (tmp_path / "bag").mkdir()
    with pytest.raises(BagWriteError, match="exists already"):
        BagWriter(tmp_path / "bag", {})


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BagWriteError, match="cannot be written"):
        BagWriter(tmp_path / "file" / "bag", {})


def _fill(directory: Path, limit: int, answers) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    bag = BagWriter(directory, {})
    bag.add_topic(TOPIC, TYPE, [])
    data = message(2000)
    try:
        for stamp in range(1, 100_000):
            bag.write(TOPIC, stamp, data)
    except BagWriteError as error:
        answers.put(str(error))
        return
    answers.put("no error")


@pytest.mark.parametrize("limit", [700_000, 2_300_000, 5_000_000])
def test_a_full_disk_leaves_a_closed_bag(tmp_path, limit):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_fill, args=(tmp_path / "bag", limit, answers))
    process.start()
    said = answers.get(timeout=60)
    process.join(60)
    assert "File too large" in said and "the bag is closed with" in said
    stamps = read(tmp_path / "bag")
    assert stamps == list(range(1, len(stamps) + 1))
    # No more than the pending chunk of one MiB (and room for the index) is lost.
    assert len(stamps) * 2000 > limit - 2_200_000
    assert (tmp_path / "bag" / "bag.mcap").stat().st_size <= limit
