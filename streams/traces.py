"""Whether this process makes traces: only then is OpenTelemetry imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from online_models.errors import SettingsError
from streams import logging
from streams.settings import Settings, standard_collector

if TYPE_CHECKING:
    from streams.tracing import Tracing


def wanted(settings: Settings, service: str) -> Tracing | None:
    """Traces of this process, with their ids in its logs; None where no collector is named.

    Args:
        service: what the process calls itself.

    Raises:
        SettingsError: a collector is named, and OpenTelemetry is not installed.
    """
    endpoint = settings.otlp_endpoint or standard_collector()
    if not endpoint:
        return None
    try:
        from streams import tracing

        made = tracing.exporting(endpoint, service)
    except ImportError as error:
        told = f"traces to {endpoint} need OpenTelemetry:  pip install 'freshet[otel]'"
        raise SettingsError(told) from error
    logging.also(tracing.ids)
    return made
