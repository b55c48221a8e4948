"""Snapshots: whole or not at all, checked when read, and the one before when the newest is damaged."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from online_models.errors import SnapshotCorrupt
from online_models.snapshot import SnapshotStore


@pytest.fixture
def store(tmp_path):
    return SnapshotStore(tmp_path, keep=3)


def save(store, value, created):
    return store.save(
        {"m": {"w": np.full(4, value)}}, created=created, positions={"deltas-0": created}, schema="s1"
    )


def test_a_snapshot_reads_back_exactly(store):
    save(store, 0.1, 5)
    snapshot = store.latest()
    assert snapshot.components["m"]["w"].tolist() == [0.1] * 4
    assert snapshot.manifest.positions == {"deltas-0": 5}


def test_only_the_newest_are_kept(store):
    versions = [save(store, k, k) for k in range(5)]
    assert store.versions() == versions[2:]


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "manifest"])
def test_a_damaged_snapshot_is_skipped_for_the_one_before(store, tmp_path, damage):
    save(store, 1.0, 1)
    newest = save(store, 2.0, 2)
    path = tmp_path / newest / ("manifest.json" if damage == "manifest" else "m.npz")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(raw[: len(raw) // 2] if damage in ("truncate", "manifest") else raw)
    assert store.latest().components["m"]["w"][0] == 1.0
    with pytest.raises(SnapshotCorrupt, match=newest):
        store.load(newest)


def test_a_failed_save_leaves_nothing_behind(store, tmp_path):
    save(store, 1.0, 1)
    with pytest.raises(ValueError, match="objects"):
        store.save({"m": {"w": np.array([object()])}}, created=2, positions={}, schema="s1")
    assert [p.name for p in tmp_path.iterdir()] == store.versions()


def test_an_array_of_objects_on_disk_is_never_unpickled(store, tmp_path):
    version = save(store, 1.0, 1)
    path = tmp_path / version / "m.npz"
    np.savez(path, w=np.array([{"a": 1}], dtype=object))
    with pytest.raises(SnapshotCorrupt):
        store.load(version)


def test_two_snapshots_of_the_same_millisecond_are_told_apart(store):
    assert save(store, 1, 7) != save(store, 2, 7)


def test_processes_that_share_a_folder_do_not_get_in_each_others_way(tmp_path):
    def life(who):
        store = SnapshotStore(tmp_path, keep=4)
        return [save(store, float(who), 1_000) for _ in range(15)]

    with ThreadPoolExecutor(4) as pool:
        versions = [version for made in pool.map(life, range(4)) for version in made]
    assert len(set(versions)) == 60
    kept = SnapshotStore(tmp_path, keep=4).versions()
    assert len(kept) >= 4
    assert all(SnapshotStore(tmp_path).load(version).components["m"]["w"].size == 4 for version in kept)
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_a_process_that_died_left_half_written_is_removed_after_a_while(store, tmp_path):
    left, new = tmp_path / ".partial-1-dead", tmp_path / ".partial-2-alive"
    for folder in (left, new):
        folder.mkdir()
    os.utime(left, (1, 1))
    save(store, 1.0, created=5_000_000)
    assert not left.exists()
    assert new.exists()


def test_an_older_one_can_be_made_the_newest_again(store):
    first = save(store, 1.0, 1)
    save(store, 2.0, 2)
    store.restore(first, created=3)
    assert store.latest().components["m"]["w"][0] == 1.0
    assert store.latest().manifest.notes["restored_from"] == first


def test_no_snapshot_is_no_error(store):
    assert store.latest() is None
