"""The bag stays readable when the disk does not hold out."""

from __future__ import annotations

import multiprocessing
import resource
from pathlib import Path

import pytest
import yaml
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
    assert (tmp_path / "bag" / "bag_0.mcap").stat().st_size <= limit


def parts(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.mcap"), key=lambda path: int(path.stem.rsplit("_", 1)[1]))


def test_a_bag_is_split_by_size_and_read_as_one(tmp_path):
    bag = BagWriter(tmp_path / "bag", {"pe": '{"seed": 1}'}, split_bytes=200_000)
    bag.add_topic(TOPIC, TYPE, [])
    bag.add_topic("/late", TYPE, [])
    for stamp in range(1, 501):
        bag.write(TOPIC, stamp, message(2000))
    bag.write("/late", 501, message(1))
    bag.close()
    files = parts(tmp_path / "bag")
    assert [path.name for path in files] == [f"bag_{number}.mcap" for number in range(6)]
    assert all(200_000 <= path.stat().st_size < 210_000 for path in files[:-1])
    assert read(tmp_path / "bag") == list(range(1, 502))
    assert [stamp for path in files for stamp in read(path)] == list(range(1, 502)), "each is readable alone"
    said = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert said["relative_file_paths"] == [path.name for path in files]
    for entry, path in zip(said["files"], files, strict=True):
        stamps = read(path)
        assert entry == {
            "path": path.name,
            "message_count": len(stamps),
            "starting_time": {"nanoseconds_since_epoch": stamps[0]},
            "duration": {"nanoseconds": stamps[-1] - stamps[0]},
        }
    counts = {
        row["topic_metadata"]["name"]: row["message_count"] for row in said["topics_with_message_count"]
    }
    assert counts == {TOPIC: 500, "/late": 1}
    assert (said["message_count"], said["duration"]["nanoseconds"]) == (501, 500)


def test_every_file_begins_with_the_identity_and_the_latched_messages(tmp_path):
    bag = BagWriter(tmp_path / "bag", {"pe": '{"seed": 1}'}, split_bytes=100_000)
    bag.add_topic("/episode", TYPE, [], latched=True)
    bag.add_topic(TOPIC, TYPE, [])
    bag.write("/episode", 1, message(5))
    bag.write("/episode", 2, message(7))
    for stamp in range(3, 203):
        bag.write(TOPIC, stamp, message(2000))
    # Not closed: the process may be killed now.
    files = parts(tmp_path / "bag")
    assert len(files) == 5 and not (tmp_path / "bag" / "metadata.yaml").exists()
    for path in files:
        assert b'"seed": 1' in path.read_bytes()[:2000]
    bag.close()
    for path in files[1:]:
        with Reader(path) as reader:
            topics = [(connection.topic, stamp, bytes(data)) for connection, stamp, data in reader.messages()]
        assert topics[0][::2] == ("/episode", message(7))
        assert topics[0][1] == topics[1][1], "repeated at the time of the split"


def test_a_split_that_the_disk_does_not_take_leaves_a_closed_bag(tmp_path):
    bag = BagWriter(tmp_path / "bag", {}, split_bytes=100_000)
    bag.add_topic(TOPIC, TYPE, [])
    (tmp_path / "bag" / "bag_1.mcap").mkdir()
    with pytest.raises(BagWriteError, match="File exists; the bag is closed with 49 of 49 messages"):
        for stamp in range(1, 1000):
            bag.write(TOPIC, stamp, message(2000))
    assert read(tmp_path / "bag") == list(range(1, 50))
