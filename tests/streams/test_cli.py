"""The command freshet as people type it."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from online_models.snapshot import SnapshotStore
from streams import cli, tail
from streams.cli_common import rewritten
from streams.cli_traffic import Output
from streams.embedded import EmbeddedKafka
from streams.settings import Settings

ROOT = Path(__file__).parents[2]
EVENT = '{"type":"click","event_id":"e1","user_id":"alice","ts":5,"item_id":"m1"}\n'


def _run(*words: str, stdin: str | None = None) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, list(words), input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    import logging

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    pytest.importorskip("confluent_kafka", reason="the embedded Kafka needs confluent-kafka")
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture
def where(broker: EmbeddedKafka, namespace: str) -> list[str]:
    broker.ensure(namespace)
    return ["--embedded", "--kafka", broker.bootstrap, "--namespace", namespace]


# ---------------------------------------------------------------------- help


def test_help_is_there_at_once_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from streams import cli; from typer.testing import CliRunner;"
        "assert CliRunner().invoke(cli.app, ['--help']).exit_code == 0;"
        "heavy = {'kafka', 'numpy', 'pydantic_settings', 'faust', 'redis', 'river', 'fastapi', 'orjson'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_the_docs_promise_has_help() -> None:
    promised = [
        "demo", "worker", "serve", "topics create", "produce", "replay", "tail", "recommend", "simulate", "doctor",
        "snapshot save", "snapshot list", "snapshot restore", "settings", "data get", "evaluate prequential",
        "evaluate sessions",
    ]  # fmt: skip
    for words in promised:
        code, out, _ = _run(*words.split(), "--help")
        assert code == 0 and "Usage" in _plain(out), words


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streams", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", done.stdout)


def test_what_can_be_watched_is_the_same_in_both_places() -> None:
    assert tuple(o.value for o in Output) == tail.TOPICS


# ---------------------------------------------------------------------- settings


def test_every_setting_is_a_flag() -> None:
    for name in Settings.model_fields:
        option = f"--{name.replace('_', '-')}"
        assert rewritten([f"{option}=x"], set()) == ["--set", f"{name}=x"]


def test_settings_tell_meaning_default_and_value_and_keep_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_KAFKA_SASL_PASSWORD", "hush")
    code, out, _ = _run("settings", "--json", "--redis-url", "redis://:hush@db:1/0", "--http-port", "81")
    told = {row["name"]: row for row in json.loads(out)}
    assert code == 0 and "hush" not in out
    assert told["http_port"]["value"] == "81" and told["http_port"]["default"] == "8080"
    assert told["kafka_sasl_password"]["value"] == "***"
    assert set(told) == set(Settings.model_fields)
    assert all(row["meaning"] for row in told.values())


def test_a_default_is_told_as_such_also_when_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FRESHET_NAMESPACE", "shop")
    _, out, _ = _run("settings", "--json", "--changed")
    assert [(r["name"], r["default"], r["value"]) for r in json.loads(out)] == [
        ("namespace", "freshet", "shop")
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--partitions", "0"], "FRESHET_PARTITIONS: Input should be greater than or equal to 1"),
        (["--set", "partitons=3"], "did you mean partitions"),
        (["--set", "partitions"], "wanted name=value"),
    ],
)
def test_a_wrong_setting_is_one_line_and_no_traceback(words: list[str], said: str) -> None:
    code, _, err = _run("settings", *words)
    assert code == 1 and said in err and "Traceback" not in err


# ---------------------------------------------------------------------- events in, recommendations out


def test_lines_go_in_and_come_out(where: list[str]) -> None:
    code, _, err = _run("produce", *where, stdin=EVENT + "\n{broken\n")
    assert code == 1 and "line 3" in err and "1 produced, 1 refused" in err
    code, out, _ = _run("tail", "events", "--from-start", "--limit", "1", "--json", *where)
    assert code == 0 and json.loads(out)["item_id"] == "m1"


def test_a_data_set_is_replayed_with_its_titles(where: list[str], tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t5\t5\t20\n1\t4\t2\t10\n2\t4\t3\t15\n")
    (tmp_path / "u.item").write_text("4|Kolya (1996)|||" + "|0" * 18 + "|1\n")
    code, out, _ = _run("replay", str(tmp_path / "u.data"), "--json", "--limit", "2", *where)
    told = json.loads(out)
    assert code == 0 and (told["events"], told["items"], told["refused"]) == (2, 1, 0)
    code, out, _ = _run("tail", "catalog", "--from-start", "--limit", "1", "--json", *where)
    assert json.loads(out)["tags"] == ["Western"]
    assert json.loads(out)["created_at"] == 10_000, "an item is as old as its first event"


def test_simulated_users_without_an_api_are_shown_a_baseline(where: list[str]) -> None:
    code, out, _ = _run(
        "simulate", "--slates", "oracle", "--duration", "1", "--rate", "30", "--json", "--users", "20", *where
    )
    told = json.loads(out)
    assert code == 0 and told["slates"] > 10 and told["regret"] == 0.0
    code, out, _ = _run("tail", "events", "--from-start", "--limit", "5", "--json", *where)
    assert {"impression"} <= {json.loads(line)["type"] for line in out.splitlines()}


def test_simulated_events_can_be_written_to_a_file(tmp_path: Path) -> None:
    out = tmp_path / "events.jsonl"
    code, _, _ = _run("simulate", "--slates", "popular", "--duration", "2", "--out", str(out))
    assert code == 0 and {json.loads(line)["type"] for line in out.read_text().splitlines()} >= {"impression"}


def _hears_ctrl_c() -> None:
    """Whoever runs the tests in the background has the signal ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_watching_ends_by_ctrl_c_without_a_traceback(where: list[str]) -> None:
    watcher = subprocess.Popen(
        [sys.executable, "-m", "streams", "tail", "events", *where],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=_hears_ctrl_c,  # noqa: PLW1509  no threads in it
    )  # fmt: skip
    try:
        assert watcher.stderr is not None
        assert "watching" in watcher.stderr.readline()
        watcher.send_signal(2)
        _, err = watcher.communicate(timeout=20)
    finally:
        watcher.kill()
    assert "Traceback" not in err and watcher.returncode in (0, 1, 130)


@pytest.mark.parametrize("words", [[], ["--embedded"]], ids=["real", "embedded"])
@pytest.mark.parametrize("command", ["tail events", "produce"])
def test_a_broker_that_is_not_there_is_one_line(command: str, words: list[str]) -> None:
    given = ["--kafka", "127.0.0.1:1", *words]
    code, _, err = _run(*command.split(), *given, stdin=EVENT)
    assert code == 1 and "127.0.0.1:1" in err and len(err.splitlines()) <= 3


@pytest.fixture
def api() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if "/u" in self.path and len(asked) % 2 == 0:
                self.send_error(503)
                return
            known = "/alice" in self.path or "/u" in self.path
            answer = (
                {
                    "user_id": "alice",
                    "request_id": "r",
                    "items": [{"item_id": "m7", "score": 3.1, "source": "vsk"}],
                }
                if known
                else {"title": "Not Found", "detail": "user_id: too long"}
            )
            self.send_response(200 if known else 422)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_recommendations_are_asked_for_over_http(api: tuple[str, list[str]]) -> None:
    url, asked = api
    code, out, _ = _run("recommend", "alice", "--n", "3", "--surface", "home", "--url", url)
    assert code == 0 and "m7" in out and "vsk" in out
    assert asked == ["/v1/recommendations/alice?n=3&surface=home"]
    code, out, _ = _run("recommend", "alice", "--json", "--http-port", url.rsplit(":", 1)[1])
    assert json.loads(out)["items"][0]["item_id"] == "m7"
    code, _, err = _run("recommend", "a/b ü", "--url", url)
    assert code == 1 and "422 user_id: too long" in err
    assert asked[-1] == "/v1/recommendations/a%2Fb%20%C3%BC"


def test_simulated_users_go_on_when_the_api_fails_for_a_while(
    api: tuple[str, list[str]], where: list[str]
) -> None:
    port = api[0].rsplit(":", 1)[1]
    code, out, err = _run(
        "simulate", "--duration", "1", "--rate", "20", "--json", "--http-port", port, *where
    )
    assert code == 0 and "503" in err
    assert json.loads(out)["slates"] == (len(api[1]) + 1) // 2


def test_an_api_that_is_not_there_is_one_line_with_the_mend() -> None:
    code, _, err = _run("recommend", "alice", "--http-port", "1")
    assert code == 1 and "freshet serve" in err and len(err.splitlines()) == 1


# ---------------------------------------------------------------------- operate


@pytest.mark.kafka
def test_topics_are_created_once_and_told_of(kafka: str, namespace: str) -> None:
    words = ["topics", "create", "--kafka", kafka, "--namespace", namespace, "--partitions", "2"]
    code, out, err = _run(*words)
    assert code == 0 and "events in 2 partitions" in out and err == ""
    code, _, err = _run(*words[:-1], "4")
    assert code == 0 and f"{namespace}.events: partitions is 2, wanted 4" in err


def test_the_doctor_answers_with_an_exit_code_and_an_object() -> None:
    code, out, _ = _run("doctor", "--json", "--kafka", "127.0.0.1:1", "--redis-url", "redis://127.0.0.1:1/0")
    told = json.loads(out)
    assert code == 1 and told["ok"] is False
    assert {f["what"] for f in told["findings"] if f["state"] == "wrong"} == {"Redis", "Kafka"}


def test_snapshots_are_listed_and_an_older_one_made_the_newest(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    first = store.save({"m": {"w": np.ones(3)}}, created=1_000, positions={}, schema="s")
    second = store.save({"m": {"w": np.zeros(3)}}, created=2_000, positions={}, schema="s")
    (tmp_path / second / "m.npz").write_bytes(b"broken")
    place = ["--snapshot-dir", str(tmp_path)]
    _, out, _ = _run("snapshot", "list", "--json", *place)
    listed = json.loads(out)
    assert [row["version"] for row in listed] == [first, second]
    assert listed[0]["state"] == "whole" and "altered" in listed[1]["state"]
    code, out, _ = _run("snapshot", "restore", first, *place)
    assert code == 0 and store.versions()[-1] == out.strip()
    newest = store.latest()
    assert newest is not None and newest.components["m"]["w"].tolist() == [1.0, 1.0, 1.0]
    code, _, err = _run("snapshot", "restore", "nowhere", *place)
    assert code == 1 and first in err


# ---------------------------------------------------------------------- data


def test_a_file_that_is_no_data_set_is_answered_with_the_known_forms(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    code, _, err = _run("data", "show", str(tmp_path / "notes.txt"))
    assert code == 1 and "ratings.dat" in err and "Traceback" not in err
    code, _, err = _run("replay", str(tmp_path / "nowhere"))
    assert code == 1 and "no such file" in err


@pytest.mark.data
def test_a_real_file_is_told_of(data_dir: Path) -> None:
    code, out, _ = _run("data", "show", str(data_dir / "ml-100k.inter.gz"), "--json")
    told = json.loads(out)
    assert code == 0 and (told["records"], told["users"], told["items"]) == (100_000, 943, 1_682)
