"""What `stormdesk bench identity` is measured against: Splink on DuckDB, in one batch, with settings for such data.

It sees the same columns of the same records. Needs `requirements-dev.txt`.
"""

import logging
import re
import time
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from app.bench.identity_records import Record, Score, score

# Splink gives probabilities; where to cut is up to its user. It is given both, and the better counts.
THRESHOLDS = (0.5, 0.9)
# What it learns from where a file lacks what its settings would learn from.
_TRAINED_ON_ELSE = (("surname",), ("given_name",), ("email",), ("phone",), ("reference",), ("customer_number",))

_Names = tuple[str, ...]


def splink(records: Sequence[Record]) -> dict[str, float]:
    """Splink's score on the records, with the better of its thresholds, and the seconds it took."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            started = time.perf_counter()
            groups = _groups(records)
            seconds = time.perf_counter() - started
        finally:
            logging.disable(logging.NOTSET)
    best = max(groups, key=lambda found: found.f1)
    return {
        "precision": round(best.precision, 4),
        "recall": round(best.recall, 4),
        "f1": round(best.f1, 4),
        "seconds": round(seconds, 1),
    }


def _groups(records: Sequence[Record]) -> list[Score]:
    import pandas as pd  # noqa: PLC0415 (a development package)
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on  # noqa: PLC0415 (a development package)

    if len(records) < 2:
        return [score(records, {one["record_id"]: 0 for one in records})]
    frame = pd.DataFrame([_normalised(one) for one in records])
    told = {name for name in frame.columns if frame[name].notna().sum() > len(frame) // 50}
    comparisons, blocking, certain, trained_on, recall, pairs = (
        _mail_and_phone(told) if "email" in told else _plain(told)
    )
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record_id",
        comparisons=comparisons,
        blocking_rules_to_generate_predictions=blocking,
    )
    linker: Any = Linker(DuckDBAPI().register(frame), settings)
    if sure := _agreeing(frame, certain):
        linker.training.estimate_probability_two_random_records_match([block_on(*one) for one in sure], recall=recall)
    linker.training.estimate_u_using_random_sampling(max_pairs=pairs, seed=2)
    # A rule by which it learns must leave something to compare.
    rules = [names for names in (*trained_on, *_TRAINED_ON_ELSE) if told - {"record_id", *names}]
    for names in _agreeing(frame, rules)[:2]:
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*names))
    predicted = linker.inference.predict(threshold_match_probability=0.3)
    found = []
    for threshold in THRESHOLDS:
        clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
            predicted, threshold_match_probability=threshold
        ).as_pandas_dataframe()
        found.append(score(records, dict(zip(clusters["record_id"], clusters["cluster_id"], strict=True))))
    return found


def _agreeing(frame: Any, rules: Iterable[_Names]) -> list[_Names]:
    """Those rules by which any two records of this file agree; Splink learns nothing from others, and stops at them."""
    return [
        names
        for names in rules
        if set(names) <= set(frame.columns) and frame.dropna(subset=[*names]).duplicated([*names]).any()
    ]


def _plain(told: set[str]) -> tuple[list[Any], list[Any], list[_Names], list[_Names], float, float]:
    """For names, birth dates and addresses, with or without a number of the person's own."""
    import splink.comparison_library as cl  # noqa: PLC0415 (a development package)
    from splink import block_on  # noqa: PLC0415 (a development package)

    comparisons: list[Any] = [
        cl.NameComparison("given_name"),
        cl.NameComparison("surname"),
        cl.DateOfBirthComparison("birth_date", input_is_string=True, datetime_format="%Y%m%d"),
        cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True),
        cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
    ]
    blocking = [block_on(name) for name in ("given_name", "surname", "birth_date", "postcode")]
    certain: list[_Names] = [("given_name", "surname", "birth_date")]
    trained_on: list[_Names] = [("birth_date",), ("postcode",)]
    for number in ("customer_number", "reference"):
        if number in told:
            comparisons.append(cl.DamerauLevenshteinAtThresholds(number, [1, 2]))
            blocking.append(block_on(number))
            certain.append((number,))
    if "customer_number" in told:
        return comparisons, blocking, certain, trained_on, 0.9, 1e6
    comparisons.append(cl.JaroWinklerAtThresholds("street", [0.9, 0.8]))
    more = (("street_number", "street"), ("street", "suburb"), ("surname", "suburb"))
    blocking += [block_on(*names) for names in more]
    certain.append(("surname", "postcode", "birth_date"))
    return comparisons, blocking, certain, trained_on, 0.8, 5e6


def _mail_and_phone(told: set[str]) -> tuple[list[Any], list[Any], list[_Names], list[_Names], float, float]:
    """For records with mail addresses and phone numbers, whatever else they say."""
    import splink.comparison_library as cl  # noqa: PLC0415 (a development package)
    from splink import block_on  # noqa: PLC0415 (a development package)

    names = [name for name in ("given_name", "surname", "street") if name in told]
    comparisons: list[Any] = [cl.JaroWinklerAtThresholds(name, [0.92, 0.8]) for name in names]
    comparisons.append(cl.LevenshteinAtThresholds("email", [1, 3]))
    if "phone" in told:
        comparisons.append(cl.LevenshteinAtThresholds("phone", [1, 2]))
    if "birth_date" in told:
        comparisons.append(cl.DamerauLevenshteinAtThresholds("birth_date", [1, 2]))
    numbers = [name for name in ("customer_number", "reference") if name in told]
    comparisons += [cl.DamerauLevenshteinAtThresholds(name, [1, 2]) for name in numbers]
    where = next((name for name in ("postcode", "suburb", "region") if name in told), "email")
    if where == "postcode":
        comparisons.append(cl.LevenshteinAtThresholds("postcode", [1]))
    elif where == "suburb":
        comparisons.append(cl.JaroWinklerAtThresholds("suburb", [0.92]))
    blocking = [
        block_on("email"),
        block_on("given_name", where),
        block_on("surname", where),
        block_on("given_name", "surname"),
        block_on("substr(email, 1, 8)"),
    ]
    certain: list[_Names] = [("email", "surname")]
    if "phone" in told:
        blocking += [block_on("phone"), block_on("substr(phone, 1, 8)", where)]
        certain.append(("phone", "surname"))
    if "birth_date" in told:
        blocking.append(block_on("birth_date", where))
    blocking += [block_on(name) for name in numbers]
    return comparisons, blocking, certain, [(where, "surname"), ("email",)], 0.8, 5e6


def _normalised(record: Record) -> dict[str, str | None]:
    """One spelling for each value, as Splink's guide asks; a value that cannot be one is missing."""
    values = {name: _visible(value) for name, value in record.items() if name != "person_id"}
    values["record_id"] = record["record_id"]
    digits = re.sub(r"\D", "", values["phone"])
    values["phone"] = digits if len(digits) >= 8 else ""
    values["email"] = values["email"] if "@" in values["email"] else ""
    born = re.fullmatch(r"(\d{4})-?(\d{2})-?(\d{2})", values["birth_date"])
    values["birth_date"] = "".join(born.groups()) if born else ""
    return {name: value or None for name, value in values.items()}


def _visible(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    return "".join(one for one in text if unicodedata.category(one) != "Cf").lower().strip()
