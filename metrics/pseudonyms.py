"""What stands in an export for what names somebody: a keyed hash of it, made of whole columns at once.

It is made here and not by PostgreSQL, where it took longer than the rest of the row. It knows no database.
"""

from collections.abc import Collection
from hashlib import sha256

import pyarrow as pa

PSEUDONYM = 16  # characters: of ten million people, the chance that two are alike is one in a hundred thousand


def pseudonyms(names: pa.Array, key: bytes) -> pa.Array:
    """A keyed hash of each of `names`; null stays null.

    SHA-256 of the key (32 secret bytes) and the text, cut to 64 bits: cut short it cannot be extended, so the plain
    hash does what HMAC would.
    """
    known, secret = names.dictionary_encode(), key.hex().encode()
    texts = known.dictionary.cast(pa.binary()).to_pylist()
    return pa.array([sha256(secret + one).hexdigest()[:PSEUDONYM] for one in texts], pa.string()).take(known.indices)


def hidden(batch: pa.RecordBatch, columns: Collection[str], key: bytes) -> pa.RecordBatch:
    """The batch with pseudonyms in these columns, where the batch has them."""
    arrays = [
        pseudonyms(one, key) if name in columns else one
        for name, one in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)
