"""The API's document is true: whatever Schemathesis makes of it is answered as it says, by whoever asks.

For every call: boundaries and mistakes of every field, parameter and header, methods that there are not, and a few at
random; always the same ones. Nothing breaks, nothing is answered that the document does not say, and nothing is taken
that its schemas forbid. What the rules of the domain refuse besides is the business of other tests.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi import checks

from tests.support.described import closed
from tests.support.described_api import AnyCase, AnyOperation, DescribedApi, described_api

# Not "what is valid is taken": a title may not be blank, a promise must lie ahead, and no schema says so.
CHECKED = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.allow_header_conformance,
]


@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[DescribedApi]:
    with described_api(database_url, tmp_path) as made:
        yield made


@pytest.mark.parametrize("who", ["everything", "agent", "stranger"])
def test_every_answer_is_as_the_document_says(api: DescribedApi, who: str) -> None:
    answers: defaultdict[str, set[int]] = defaultdict(set)
    faults: list[str] = []
    thorough, briefly = _document(api, thorough=True), _document(api, thorough=False)
    thorough.validate()
    for operation in _operations(thorough):
        # Whoever may not enter is told the same whatever they send: a few tries are enough.
        schema = thorough if who == _who_matters(operation) else briefly
        faults += _faults(schema[operation.path][operation.method], api, who, answers[operation.label])
    assert not faults, "\n\n".join(faults)
    for operation in _operations(thorough):
        _check_reach(operation, who, answers[operation.label])


def _document(api: DescribedApi, *, thorough: bool) -> schemathesis.BaseSchema:
    phases = {"coverage": {"enabled": thorough, "unexpected-methods": ["DELETE", "QUERY"]}}
    generation = {"deterministic": True, "no-shrink": True, "max-examples": 5 if thorough else 2}
    config = SchemathesisConfig.from_dict({"generation": generation, "phases": phases})
    return schemathesis.openapi.from_dict(closed(api.document), config=config)


def _operations(document: schemathesis.BaseSchema) -> list[AnyOperation]:
    return [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]


def _who_matters(operation: AnyOperation) -> str:
    return "stranger" if _right(operation) is None else "everything"


def _right(operation: AnyOperation) -> str | None:
    right: str | None = operation.definition.raw.get("x-right")
    return right


def _faults(operation: AnyOperation, api: DescribedApi, who: str, answers: set[int]) -> list[str]:
    """What is wrong with the answers to one operation; their statuses are added to `answers`."""

    def check(case: AnyCase) -> None:
        answer = api.ask(case, who)
        answers.add(answer.status_code)
        case.validate_response(answer, checks=CHECKED)

    test = build_operation_test(
        config=operation.schema.config,
        operation=operation,
        test_func=check,
        given_kwargs={},
        feedback=FeedbackSources(),
        explicit_settings=settings(deadline=None, database=None, suppress_health_check=list(HealthCheck)),
    )
    try:
        test()
    except Failure as fault:
        return [f"{operation.label}: {fault}"]
    except FailureGroup as several:
        return [f"{operation.label}: {fault}" for fault in several.exceptions]
    return []


def _check_reach(operation: AnyOperation, who: str, seen: set[int]) -> None:
    """The test came as far as it should: whoever may enter succeeded, a stranger nowhere else."""
    said = f"{operation.label}: {seen}"
    if who == _who_matters(operation):
        assert 409 in seen or any(200 <= status < 300 for status in seen), said
    elif who == "stranger":
        assert seen <= {401, 405}, said
