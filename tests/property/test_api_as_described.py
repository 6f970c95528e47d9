"""The API's document is true: whatever Schemathesis makes of it is answered as it says, by whoever asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test

from tests.support.described_api import DescribedApi, described_api
import time

@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[DescribedApi]:
    with described_api(database_url, tmp_path) as made:
        yield made


FEW = settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
import collections
STAT=collections.Counter()

@pytest.mark.parametrize("who", ["everything"])
def test_every_answer_is_as_the_document_says(api: DescribedApi, who: str) -> None:
    load_all_checks()
    config = SchemathesisConfig.from_dict({"generation": {"deterministic": True, "no-shrink": True, "max-examples": 5}})
    document = schemathesis.openapi.from_dict(api.document, config=config)
    excluded = [one for one in CHECKS.get_all() if one.__name__ in ("ignored_auth", "missing_required_header")]
    found=[]
    for result in document.get_all_operations():
        operation = result.ok()
        n=0
        asking=0
        def check(case):
            nonlocal n, asking
            n+=1
            t=time.process_time()
            a=api.ask(case, who)
            asking+=time.process_time()-t
            STAT[operation.label, a.status_code]+=1
            case.validate_response(a, excluded_checks=excluded)
        t=time.process_time()
        test = build_operation_test(config=document.config, operation=operation, test_func=check, given_kwargs={}, feedback=FeedbackSources(), explicit_settings=FEW)
        t1=time.process_time()
        try: test()
        except Failure as f:
            found.append((operation.label, f))
        except FailureGroup as g:
            for f in g.exceptions: found.append((operation.label, f))
        except BaseException as e:
            found.append((operation.label, e))
        print(operation.label, n, round(t1-t,2), round(time.process_time()-t1,2), round(asking,2), {s:c for (l,s),c in STAT.items() if l==operation.label})
    for l,f in found:
        print("=====", l); print(type(f), str(f)[:1500])
    assert not found
