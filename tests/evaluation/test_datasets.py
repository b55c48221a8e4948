"""Public data sets are read as published, whatever the file is called."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.datasets import (
    DatasetError,
    LoggedImpression,
    Rating,
    SessionClick,
    open_dataset,
)
from evaluation.formats import recognise
from evaluation.wire import item_entry, to_events
from streams import validation
from streams.validation import Rules

RULES = Rules(actions=frozenset({"click", "like", "dislike"}))
OBD = (
    ",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user-item_affinity_0\n"
    "0,2019-11-24 00:00:01.500000+00:00,7,3,1,0.25,aa,bb,0.5\n"
    "1,2019-11-24 00:00:02+00:00,8,1,0,0.5,aa,bb,0.0\n"
)
FIRST = Rating("196", "242", 3.0, 881_250_949_000)
FILES = {
    "u.data": ("196\t242\t3\t881250949\n186\t302\t3\t891717742\n", FIRST),
    "ratings.dat": ("196::242::3::881250949\n2::661::3.5::978302109\n", FIRST),
    "ratings.csv": ("userId,movieId,rating,timestamp\n196,242,3.0,881250949\n", FIRST),
    "x.inter": (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n",
        FIRST,
    ),
    "implicit.inter": (
        "user_id:token\titem_id:token\ttimestamp:float\n196\t242\t881250949\n",
        Rating("196", "242", 1.0, 881_250_949_000),
    ),
    "session.inter": (
        "session_id:token\titem_id:token\ttimestamp:float\n196\t242\t881250949\n",
        SessionClick("196", "242", 881_250_949_000),
    ),
    "clicks.txt": (
        "SessionId\tItemId\tTime\n1\t214536502\t1396860669.277\n",
        SessionClick("1", "214536502", 1_396_860_669_277),
    ),
    "clicks.csv": (
        "SessionId,ItemId,Time\r\n1,214536502,1396860669.277\r\n",
        SessionClick("1", "214536502", 1_396_860_669_277),
    ),
    "yoochoose-clicks.dat": (
        "1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,S\n",
        SessionClick("1", "214536502", 1_396_867_869_277),
    ),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_is_recognised_by_its_content_and_not_by_its_name(
    tmp_path: Path, name: str, packed: bool
) -> None:
    text, first = FILES[name]
    path = tmp_path / "download"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert next(iter(open_dataset(path).records)) == first


def test_an_open_bandit_row_keeps_its_propensity_position_and_click(tmp_path: Path) -> None:
    (tmp_path / "men.csv").write_text(OBD)
    dataset = open_dataset(tmp_path / "men.csv")
    first, second = dataset.records
    assert dataset.kind == "impressions"
    assert isinstance(first, LoggedImpression) and isinstance(second, LoggedImpression)
    assert (first.item, first.position, first.click, first.propensity) == ("7", 3, True, 0.25)
    assert first.ts_ms == 1_574_553_601_500
    assert first.user_features == ("aa", "bb") and first.affinities == (0.5,)
    assert first.user == second.user, "visitors with the same features are one user"


def test_records_can_be_read_more_than_once(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text(FILES["u.data"][0])
    records = open_dataset(tmp_path / "u.data").records
    assert list(records) == list(records)


def test_equal_times_keep_the_files_order(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t5\t3\t20\n1\t4\t3\t10\n1\t9\t3\t10\n1\t2\t3\t10\n")
    ordered = open_dataset(tmp_path / "u.data").records.in_time_order()
    assert [record.item for record in ordered] == ["4", "9", "2", "5"]


@pytest.mark.parametrize(
    ("sibling", "encoding", "text"),
    [
        (
            "u.item",
            "latin-1",
            "242|Misérables, Les (1995)|01-Jan-1995||http://x|0|0|0|0|0|1|0|0|1|0|0|0|0|0|0|0|0|0|0\n",
        ),
        ("ratings.dat", "latin-1", ""),
    ],
    ids=["u.item", "no sibling"],
)
def test_titles_and_genres_come_from_the_file_beside_it(
    tmp_path: Path, sibling: str, encoding: str, text: str
) -> None:
    (tmp_path / "u.data").write_text(FILES["u.data"][0])
    (tmp_path / sibling).write_text(text, encoding=encoding)
    items = open_dataset(tmp_path / "u.data").items
    if not text:
        assert items == {}
        return
    assert items["242"].title == "Misérables, Les"
    assert items["242"].tags == ("Comedy", "Drama")
    assert items["242"].year == 1995


def test_titles_of_the_other_movielens_forms_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text(FILES["ratings.dat"][0])
    (tmp_path / "movies.dat").write_text(
        "1::Toy Story (1995)::Animation|Children's|Comedy\n", encoding="latin-1"
    )
    assert open_dataset(tmp_path / "ratings.dat").items["1"].tags == ("Animation", "Children's", "Comedy")
    (tmp_path / "ratings.csv").write_text(FILES["ratings.csv"][0])
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\n11,"American President, The (1995)",Comedy|Drama\n9,Odd,(no genres listed)\n'
    )
    items = open_dataset(tmp_path / "ratings.csv").items
    assert (items["11"].title, items["11"].year) == ("American President, The", 1995)
    assert items["9"].tags == ()


def test_a_directory_stands_for_the_data_set_in_it(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("about\n")
    (tmp_path / "picture").write_bytes(bytes(range(256)))
    (tmp_path / "u.data").write_text(FILES["u.data"][0])
    assert open_dataset(tmp_path).format == "u.data"
    (tmp_path / "ratings.csv").write_text(FILES["ratings.csv"][0])
    with pytest.raises(DatasetError, match=r"several data sets.*ratings\.csv, u\.data"):
        open_dataset(tmp_path)


def test_a_training_file_brings_its_test_file_along(tmp_path: Path) -> None:
    (tmp_path / "c_train_full.txt").write_text("SessionId\tItemId\tTime\n1\t5\t10\n")
    (tmp_path / "c_test.txt").write_text("SessionId\tItemId\tTime\n2\t6\t5\n")
    dataset = open_dataset(tmp_path / "c_train_full.txt")
    assert [record.item for record in dataset.records.in_time_order()] == ["6", "5"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello\n", "not in a known format"),
        ("", "not in a known format"),
        ("196\t242\t3\t881250949\n1\t2\t3\n", r"line 2: wanted user, item, rating, seconds, found '1\t2\t3'"),
        ("196\t242\t3\t881250949\n1\t2\tgood\t5\n", "line 2: wanted"),
        ("196\t242\t3\t881250949\n1\t\t3\t5\n", "line 2: wanted"),
        (OBD.replace("0.25", "1.5"), "line 2: wanted timestamp,item_id"),
    ],
    ids=["prose", "empty", "short line", "no number", "empty id", "no probability"],
)
def test_what_cannot_be_read_is_named_with_what_was_wanted(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(DatasetError) as told:
        list(open_dataset(path).records)
    assert said.replace("\\t", "\t") in str(told.value).replace("\\t", "\t")


def test_a_cut_gzip_and_a_missing_file_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(FILES["u.data"][0].encode() * 1_000)[:60])
    with pytest.raises(DatasetError, match=r"cut\.gz: cannot be read"):
        list(open_dataset(path).records)
    with pytest.raises(DatasetError, match="no such file"):
        open_dataset(tmp_path / "nowhere")


@given(st.text(max_size=200))
def test_no_first_line_breaks_recognition(line: str) -> None:
    recognise(line)


@given(
    st.sampled_from([1.0, 2.0, 2.5, 3.0, 4.0, 5.0]),
    st.integers(0, 2_000_000_000_000),
    st.integers(0, 10**9),
)
def test_events_of_a_record_are_valid_and_the_same_each_time(rating: float, ts: int, index: int) -> None:
    records = [
        Rating("u", "i", rating, ts),
        SessionClick("s", "i", ts),
        LoggedImpression("u", "i", 3, True, 0.2, ts),
    ]
    for record in records:
        made = to_events(record, index)
        assert made == to_events(record, index)
        for event in made:
            checked = validation.event(validation.orjson.dumps(event), ts + 2_000, RULES)
            assert not isinstance(checked, validation.Rejected), checked


def test_a_rating_becomes_a_like_a_click_or_a_dislike() -> None:
    actions = [to_events(Rating("u", "i", r, 5), 0)[0].get("action", "click") for r in (5, 4, 3, 2, 1)]
    assert actions == ["like", "like", "click", "dislike", "dislike"]


@pytest.mark.data
def test_the_real_files_are_read_whole(data_dir: Path) -> None:
    counts = {
        "ml-100k.inter.gz": ("ratings", 100_000),
        "obd.random.men.csv.gz": ("impressions", 10_000),
        "yoochoose-clicks-100k_train_full.txt.gz": ("sessions", 83_846),
    }
    for name, (kind, count) in counts.items():
        dataset = open_dataset(data_dir / name)
        assert (dataset.kind, sum(1 for _ in dataset.records)) == (kind, count), name
    movies = open_dataset(data_dir / "ml-100k.inter.gz").items
    assert item_entry("1", movies["1"])["tags"] == ["Animation", "Children's", "Comedy"]
    assert len(movies) == 1_682
