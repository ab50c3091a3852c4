"""What a language model is asked, whatever API it speaks, and how its words become findings."""

from careweir_kit.language.asking import (
    ModelAnswer,
    ModelRequest,
    answer_of,
    ask_model,
    check_asking,
    echo_of,
    read_answer,
)
from careweir_kit.language.reading import check_content
from careweir_kit.language.task import schema_of

__all__ = [
    "ModelAnswer",
    "ModelRequest",
    "answer_of",
    "ask_model",
    "check_asking",
    "check_content",
    "echo_of",
    "read_answer",
    "schema_of",
]
