"""A public data set arrives whole and checked, or not at all."""

import io
import threading
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evaluation.datasets import open_dataset
from evaluation.download import SOURCES, DownloadError, RemoteFile, Source, get


def _archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("ml-tiny/u.data", "196\t242\t3\t881250949\n")
        archive.writestr("ml-tiny/../../u.item", "242|Kolya (1996)|||" + "|0" * 19 + "\n")
        archive.writestr("ml-tiny/other", "not wanted")
    return out.getvalue()


ARCHIVE = _archive()
CONTENT = {"/ml-tiny.zip": ARCHIVE, "/longer.zip": ARCHIVE + b"more", "/other.zip": ARCHIVE[:-1] + b"!"}


@pytest.fixture
def home() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = CONTENT.get(self.path)
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def _sources(home: str, path: str) -> dict[str, Source]:
    file = RemoteFile(home + path, len(ARCHIVE), sha256(ARCHIVE).hexdigest(), "ml-tiny.zip")
    return {"ml-tiny": Source("tiny", "none", (file,), "u.data", ("u.data", "u.item"))}


def test_a_set_is_fetched_checked_unpacked_and_not_fetched_again(
    home: tuple[str, list[str]], tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    sources = _sources(home[0], "/ml-tiny.zip")
    path = get("ml-tiny", tmp_path, sources=sources, progress=lambda *at: told.append(at))
    assert path == tmp_path / "ml-tiny" / "u.data"
    assert sorted(p.name for p in path.parent.iterdir()) == ["u.data", "u.item"]
    assert not (tmp_path.parent / "u.item").exists(), "no path within the archive is followed"
    assert open_dataset(path).items["242"].title == "Kolya"
    assert told[-1] == (len(ARCHIVE), len(ARCHIVE))
    assert get("ml-tiny", tmp_path, sources=sources) == path
    assert home[1] == ["/ml-tiny.zip"]


@pytest.mark.parametrize(
    ("path", "said"),
    [("/other.zip", "sha256"), ("/longer.zip", "longer than"), ("/gone.zip", "Not Found")],
)
def test_what_is_not_as_it_should_be_is_refused_and_leaves_nothing(
    home: tuple[str, list[str]], tmp_path: Path, path: str, said: str
) -> None:
    with pytest.raises(DownloadError, match=said):
        get("ml-tiny", tmp_path, sources=_sources(home[0], path))
    assert list((tmp_path / "ml-tiny").iterdir()) == []


def test_an_unknown_name_is_answered_with_the_known_ones_or_the_way_by_hand(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="ml-100k"):
        get("ml-10k", tmp_path)
    with pytest.raises(DownloadError, match="7z"):
        get("yoochoose", tmp_path)


def test_nothing_is_fetched_over_plain_http_or_from_files(tmp_path: Path) -> None:
    for url in ("http://example.org/a", "file:///etc/hostname"):
        file = RemoteFile(url, 1, "0", "a")
        with pytest.raises(DownloadError, match="only https"):
            get("a", tmp_path, sources={"a": Source("", "", (file,), "a")})


@pytest.mark.data
def test_the_checksums_of_the_open_bandit_samples_are_those_of_the_real_files(data_dir: Path) -> None:
    import gzip

    for source in SOURCES.values():
        for file in source.files:
            if file.name.startswith("obd."):
                content = gzip.decompress((data_dir / f"{file.name}.gz").read_bytes())
                assert (len(content), sha256(content).hexdigest()) == (file.bytes, file.sha256), file.name
