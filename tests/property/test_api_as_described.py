"""The API's document is true: whatever Schemathesis makes of it is answered as it says, by whoever asks.

For every call: boundaries and mistakes of every field, parameter and header, methods that there are not, and a few at
random; always the same ones. Nothing breaks, nothing is answered that the document does not say, and nothing is taken
that its schemas forbid. What the rules of the domain refuse besides is the business of other tests.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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

from app.rights import TABLE
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
# A body with twenty fields has hundreds of mistakes: of those beyond this every fourth is enough, always the same ones.
AT_LENGTH = 9
# A file is not there for any other method; a route says which it has.
CHECKED_OF_FILES = [one for one in CHECKED if one is not checks.unsupported_method]


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
        if who == "agent" and _right(operation) in {None, *TABLE["agent"]}:
            continue
        # Whoever may not enter is told the same whatever they send: a few tries are enough.
        schema = thorough if who == _who_matters(operation) else briefly
        faults += _faults(schema[operation.path][operation.method], api, who, answers[operation.label])
    assert not faults, "\n\n".join(faults)
    if who == "stranger":
        _check_that_strangers_stay_out(thorough, answers)
    _check_reach([one for one in _operations(thorough) if who == _who_matters(one)], answers)


def _document(api: DescribedApi, *, thorough: bool) -> schemathesis.BaseSchema:
    phases = {"coverage": {"enabled": thorough, "unexpected-methods": ["DELETE"]}}
    generation = {"deterministic": True, "no-shrink": True, "max-examples": 2 if thorough else 1}
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

    made = itertools.count(1)

    def check(case: AnyCase) -> None:
        if (number := next(made)) > AT_LENGTH and number % 4:
            return
        answer = api.ask(case, who)
        answers.add(answer.status_code)
        case.validate_response(answer, checks=CHECKED if operation.path.startswith("/api/v1/") else CHECKED_OF_FILES)

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


def _check_that_strangers_stay_out(document: schemathesis.BaseSchema, answers: Mapping[str, set[int]]) -> None:
    for operation in _operations(document):
        if _right(operation) is not None:
            assert answers[operation.label] <= {401, 405}, operation.label


def _check_reach(operations: Sequence[AnyOperation], answers: Mapping[str, set[int]]) -> None:
    """The test came as far as it should: where it was thorough, calls succeed, or are too late.

    Some need more than one case or two updates, and are left to the tests of their own, whose answers are held against
    the document too. A new call may need to be told what exists and what makes sense: `tests.support.described_api`.
    """
    short = [one.label for one in operations if not {200, 201, 202, 204, 409} & answers[one.label]]
    assert len(short) <= max(2, len(operations) // 4), f"These were refused whatever was sent: {', '.join(short)}"
