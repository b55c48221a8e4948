"""Settings: one place, checked as a whole, told with the mend, secrets never shown."""

import pytest

from online_models.canary_guard import Guard
from online_models.errors import SettingsError
from online_models.windows import Window
from streams import build, settings
from streams.settings import Settings


def test_a_variable_and_what_a_command_was_given_are_read_in_that_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FRESHET_NAMESPACE", "shop")
    monkeypatch.setenv("FRESHET_HTTP_PORT", "9000")
    loaded = settings.load(**settings.assignments(["http-port=9001"]))
    assert (loaded.namespace, loaded.http_port) == ("shop", 9001)


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_an_error_names_the_variable_and_what_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_PARTITIONS", "0")
    monkeypatch.setenv("FRESHET_LOG_FORMAT", "xml")
    with pytest.raises(SettingsError) as told:
        settings.load()
    assert "FRESHET_PARTITIONS: Input should be greater than or equal to 1" in str(told.value)
    assert "FRESHET_LOG_FORMAT: Input should be 'auto', 'json' or 'text'" in str(told.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"recommend_n": 300}, "candidates must be at least recommend_n"),
        ({"pending_ttl_ms": 1_000}, "pending_ttl_ms must be at least attribution_window_ms"),
        ({"attribution_windows": {"share": {"ms": 9_000}}}, "share must be among actions"),
        ({"attribution_windows": {"like": {"ms": 86_400_000}}}, "like outlasts pending_ttl_ms"),
        ({"kafka_security_protocol": "SASL_SSL"}, "kafka_sasl_username"),
        ({"actions": {"like": 1.0}}, "actions must hold click"),
        ({"redis_url": "http://x"}, "must begin with redis://"),
        ({"surfaces": {}}, "at least one surface"),
        ({"surfaces": {"home": {"objectives": {"share": 2}}}}, "home: objectives: 'share' is no action"),
        ({"surfaces": {"home": {"objectives": {"click": -1}}}}, "a weight above 0"),
    ],
)
def test_a_contradiction_is_told_at_the_start(given: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings.load(**given)


def test_a_purchase_is_waited_for_after_a_click_where_it_is_an_action_at_all() -> None:
    window = settings.load().attribution_windows["purchase"]
    assert (window.ms, window.after) == (3 * 86_400_000, "click")
    assert settings.load(actions={"click": 1.0}).attribution_windows == {}
    again = settings.assignments(["attribution_windows.like.ms=600000"])
    assert settings.load(**again).attribution_windows["like"].after == "impression"


def test_a_misspelt_setting_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean partitions"):
        settings.assignments(["partitons=4"])
    with pytest.raises(SettingsError, match="name=value"):
        settings.assignments(["partitions"])


def test_a_setting_can_be_reached_into_by_a_command_and_by_a_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = settings.load(**settings.assignments(["surfaces.home.seen=none", "surfaces.home.fatigue_k=2"]))
    assert (loaded.surfaces["home"].seen, loaded.surfaces["home"].fatigue_k) == ("none", 2)
    monkeypatch.setenv("FRESHET_SURFACES", '{"item": {"seen": "fatigue"}}')
    assert settings.load().surfaces["item"].seen == "fatigue"


def test_no_secret_is_shown_printed_or_dumped() -> None:
    loaded = settings.load(
        redis_url="redis://app:hush@db:6379/0",
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_username="app",
        kafka_sasl_password="hush",
    )
    everything = [settings.shown(loaded, name) for name in Settings.model_fields]
    assert "hush" not in " ".join(everything) + repr(loaded) + str(loaded) + loaded.model_dump_json()
    assert settings.shown(loaded, "redis_url") == "redis://app:***@db:6379/0"


def test_an_action_that_weights_name_is_waited_for_as_long_as_a_click_unless_said_otherwise() -> None:
    given = {"surfaces": {"home": {"objectives": {"click": 1, "conversion": 20, "dislike": 0}}}}
    loaded = settings.load(**given, attribution_window_ms=30_000)
    assert loaded.objective_actions() == ["dislike", "purchase"]
    windows = build.windows(loaded)
    assert windows == {"dislike": Window(30_000), "purchase": Window(3 * 86_400_000, after_click=True)}
    assert build.surfaces(loaded)["home"].objectives.of == (("click", 1.0), ("purchase", 20.0))


def test_a_canarys_limits_are_those_of_the_guard_and_one_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Guard(**settings.load().canary.model_dump()) == Guard()
    monkeypatch.setenv("FRESHET_CANARY", '{"slow_share": 0.2, "failed_limit": 0.005}')
    assert Guard(**settings.load().canary.model_dump()) == Guard(slow_share=0.2, failed_limit=0.005)
    for wrong in ('{"slow": 0.2}', '{"alpha": 0.0}'):
        monkeypatch.setenv("FRESHET_CANARY", wrong)
        with pytest.raises(SettingsError, match="CANARY"):
            settings.load()


def test_another_process_takes_the_same_settings_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = settings.load(
        surfaces={"home": {"diversity": 0.4}}, canary={"slow_ms": 7.0}, kafka_sasl_password="x"
    )
    for name, value in settings.as_environment(given).items():
        monkeypatch.setenv(name, value)
    assert settings.load() == given
