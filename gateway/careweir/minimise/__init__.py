"""What of a chart leaves for one tool, and the manifest that proves it."""

from careweir.minimise.chart import Chart, SubjectMismatch, read_chart
from careweir.minimise.command import minimise_document
from careweir.minimise.identifiers import patient_names_and_numbers
from careweir.minimise.manifest import Manifest, Transformed, Withheld, payload_paths
from careweir.minimise.minimise import Minimised, minimise

__all__ = [
    "Chart",
    "Manifest",
    "Minimised",
    "SubjectMismatch",
    "Transformed",
    "Withheld",
    "minimise",
    "minimise_document",
    "patient_names_and_numbers",
    "payload_paths",
    "read_chart",
]
