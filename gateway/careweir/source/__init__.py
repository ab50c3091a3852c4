"""Pull at the source: what is not needed, or may not be sent, is not even fetched."""

from careweir.source.compile import Dialect, Search, searches
from careweir.source.config import Source, load_sources, source_of
from careweir.source.errors import ChartTooLarge, SourceUnavailable, SourceUnknown
from careweir.source.fetch import Fetched, fetch_chart

__all__ = [
    "ChartTooLarge",
    "Dialect",
    "Fetched",
    "Search",
    "Source",
    "SourceUnavailable",
    "SourceUnknown",
    "fetch_chart",
    "load_sources",
    "searches",
    "source_of",
]
