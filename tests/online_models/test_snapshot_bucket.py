"""Snapshots in object storage, here one that keeps its objects in a folder: whole, checked, no more than kept."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from online_models.errors import SnapshotCorrupt
from online_models.snapshot import SnapshotStore
from online_models.snapshot_bucket import BucketSnapshots, open_snapshots


@pytest.fixture
def bucket(tmp_path: Path) -> BucketSnapshots:
    return BucketSnapshots(f"file://{tmp_path}/bucket", keep=2)


def save(bucket: BucketSnapshots, value: float, created: int) -> str:
    return bucket.save(
        {"m": {"w": np.full(4, value)}}, created=created, positions={"deltas-0": created}, schema="s1"
    )


def test_a_snapshot_reads_back_exactly(bucket: BucketSnapshots) -> None:
    version = save(bucket, 0.1, 5)
    snapshot = bucket.latest()
    assert snapshot is not None
    assert snapshot.components["m"]["w"].tolist() == [0.1] * 4
    assert snapshot.manifest.positions == {"deltas-0": 5}
    assert snapshot.manifest.version == version == bucket.manifest(version).version
    assert bucket.size(version) > 32


def test_only_the_newest_are_kept_and_nothing_of_the_others_stays(
    bucket: BucketSnapshots, tmp_path: Path
) -> None:
    versions = [save(bucket, k, k) for k in range(4)]
    assert bucket.versions() == versions[2:]
    left = {path.parent.name for path in (tmp_path / "bucket").rglob("*") if path.is_file()}
    assert left == set(versions[2:])


def test_two_of_one_moment_are_two_versions(bucket: BucketSnapshots) -> None:
    first, second = save(bucket, 1.0, 7), save(bucket, 2.0, 7)
    assert first < second
    assert bucket.load(second).components["m"]["w"][0] == 2.0


@pytest.mark.parametrize("damage", ["altered", "missing", "manifest"])
def test_a_damaged_snapshot_is_skipped_for_the_one_before(
    bucket: BucketSnapshots, tmp_path: Path, damage: str
) -> None:
    save(bucket, 1.0, 1)
    newest = save(bucket, 2.0, 2)
    path = tmp_path / "bucket" / newest / ("manifest.json" if damage == "manifest" else "m.npz")
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9])
    snapshot = bucket.latest()
    assert snapshot is not None
    assert snapshot.components["m"]["w"][0] == 1.0
    with pytest.raises(SnapshotCorrupt, match=newest):
        bucket.load(newest)


def test_an_upload_that_was_cut_off_is_no_version_and_is_swept_away_an_hour_later(
    bucket: BucketSnapshots, tmp_path: Path
) -> None:
    cut_off, fresh = save(bucket, 1.0, 1), save(bucket, 2.0, 2)
    for version in (cut_off, fresh):
        (tmp_path / "bucket" / version / "manifest.json").unlink()
    for path in (tmp_path / "bucket" / cut_off).iterdir():
        os.utime(path, (time.time() - 4_000,) * 2)
    assert bucket.versions() == []
    save(bucket, 3.0, round(1_000 * time.time()))
    assert not list((tmp_path / "bucket").rglob(f"{cut_off}/*.npz"))
    assert list((tmp_path / "bucket").rglob(f"{fresh}/*.npz")), "its writer may be at work still"


def test_a_manifest_that_names_a_path_outside_is_refused(bucket: BucketSnapshots, tmp_path: Path) -> None:
    version = save(bucket, 1.0, 1)
    path = tmp_path / "bucket" / version / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b"m.npz", b"../m.npz"))
    with pytest.raises(SnapshotCorrupt, match="no name of a file"):
        bucket.load(version)


def test_an_older_one_is_made_the_newest_again(bucket: BucketSnapshots) -> None:
    old = save(bucket, 1.0, 1)
    save(bucket, 2.0, 2)
    bucket.restore(old, created=3)
    snapshot = bucket.latest()
    assert snapshot is not None
    assert (snapshot.components["m"]["w"][0], snapshot.manifest.notes) == (1.0, {"restored_from": old})


def test_a_bucket_that_does_not_answer_is_an_error_of_the_operating_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "here", "AWS_ALLOW_HTTP": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    bucket = BucketSnapshots("s3://nobody/prefix")
    with pytest.raises(OSError, match="s3://nobody/prefix"):
        bucket.versions()


def test_an_address_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="ftp://somewhere"):
        BucketSnapshots("ftp://somewhere/else")


def test_a_plain_path_is_a_folder(tmp_path: Path) -> None:
    assert isinstance(open_snapshots(str(tmp_path)), SnapshotStore)
    assert isinstance(open_snapshots(f"file://{tmp_path}/b"), BucketSnapshots)
