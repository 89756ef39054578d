"""Example: input + answer; and Dataset: many of them as columns, in an order that does not depend on how they came."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import mmh3
import numpy as np
import numpy.typing as npt

from trimtab.core.agents import AgentSpec
from trimtab.core.batch import Columns, Floats, columns_from_values
from trimtab.core.features import Value
from trimtab.errors import InvalidInputError

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

# No single row may speak for more than this many rows of typical inclusion probability: rare rows would otherwise
# carry the whole fit (truncated importance weights, Ionides 2008, doi:10.1198/106186008X320456).
MAX_RELATIVE_INVERSE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One answered decision: its feature vector in the spec's order, the right label, and how much it counts.

    `weight` is the label's confidence times its source's reliability, >= 0; `inclusion` the probability in (0, 1]
    with which the decision was chosen to be labelled (1.0 when nobody chose it); `at` the decision's aware time.
    """

    key: str
    values: tuple[Value, ...]
    label: str
    at: datetime
    weight: float = 1.0
    decision_id: str | None = None
    source: str = ""
    inclusion: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """n examples as columns, sorted by content, so that the order in which they came cannot matter.

    `columns`: float64 arrays as `trimtab.core.batch` describes; `label`: positions in the spec's labels; `weight`:
    given weight times truncated inverse inclusion, mean 1; `at_us`: microseconds since 1970; `group`: rows that share
    a key or all values have the same number; `group_hash`: the same, as a hash that does not depend on the other rows.
    """

    columns: dict[str, Floats]
    label: npt.NDArray[np.intp]
    weight: Floats
    at_us: Ints
    group: Ints
    group_hash: Hashes
    sha256: str

    @property
    def n(self) -> int:
        return len(self.label)

    def take(self, rows: npt.NDArray[np.intp]) -> Dataset:
        """The dataset of some rows; it keeps the hash of the whole."""
        return Dataset(
            columns={name: column[rows] for name, column in self.columns.items()},
            label=self.label[rows],
            weight=self.weight[rows],
            at_us=self.at_us[rows],
            group=self.group[rows],
            group_hash=self.group_hash[rows],
            sha256=self.sha256,
        )

    @classmethod
    def from_examples(cls, spec: AgentSpec, examples: Iterable[Example]) -> Dataset:
        """The dataset of `examples`. Raises InvalidInputError naming the key of the first unusable one."""
        rows = list(examples)
        positions = {label: index for index, label in enumerate(spec.labels)}
        for row in rows:
            if row.label not in positions:
                raise InvalidInputError(
                    f"example {row.key!r}: {spec.agent} has no label {row.label!r}; it has {', '.join(spec.labels)}"
                )
            if row.at.tzinfo is None:
                raise InvalidInputError(f"example {row.key!r}: its time must name a time zone")
        return cls.from_columns(
            spec,
            columns_from_values(spec.features, [row.values for row in rows]),
            label=np.array([positions[row.label] for row in rows], dtype=np.intp),
            keys=[row.key for row in rows],
            at_us=np.rint([row.at.timestamp() * 1e6 for row in rows]).astype(np.int64),
            weight=np.array([row.weight for row in rows], dtype=np.float64),
            inclusion=np.array([row.inclusion for row in rows], dtype=np.float64),
        )

    @classmethod
    def from_columns(
        cls,
        spec: AgentSpec,
        columns: Columns,
        *,
        label: npt.NDArray[np.intp],
        keys: Sequence[str],
        at_us: Ints,
        weight: Floats,
        inclusion: Floats,
    ) -> Dataset:
        """The dataset of columns that are arrays already, each of shape (n,). Rows of weight 0 are left out."""
        usable = np.isfinite(weight) & (weight >= 0) & np.isfinite(inclusion) & (inclusion > 0) & (inclusion <= 1)
        if not usable.all():
            row = int(np.argmin(usable))
            raise InvalidInputError(
                f"example {keys[row]!r}: weight must be finite and at least 0, inclusion in (0, 1]; "
                f"found {weight[row]!r} and {inclusion[row]!r}"
            )
        matrix = [np.where(np.isfinite(columns[f.name]), columns[f.name], np.nan) + 0.0 for f in spec.features]
        key_hash = np.array([mmh3.hash64(key.encode("utf-8", "surrogatepass"), 0, True, False)[0] for key in keys])
        key_hash = key_hash.astype(np.uint64)
        value_hash = np.zeros(len(label), dtype=np.uint64)
        for column in matrix:
            value_hash = _mix(value_hash ^ column.view(np.uint64))
        order = np.lexsort((inclusion, weight, label, key_hash, value_hash, at_us))
        order = order[weight[order] > 0]
        matrix = [column[order] for column in matrix]
        label, at_us, key_hash, value_hash = label[order], at_us[order], key_hash[order], value_hash[order]
        effective = _effective_weight(weight[order], inclusion[order])
        group = _groups(key_hash, value_hash)
        digest = hashlib.sha256(f"{spec.sha256}\n{len(label)}\n".encode())
        for part in (*matrix, label.astype("<i8"), at_us, key_hash, weight[order], inclusion[order]):
            digest.update(np.ascontiguousarray(part).tobytes())
        return cls(
            columns={feature.name: column for feature, column in zip(spec.features, matrix, strict=True)},
            label=label,
            weight=effective,
            at_us=at_us,
            group=group,
            group_hash=_group_hashes(group, value_hash),
            sha256=digest.hexdigest(),
        )


def _effective_weight(weight: Floats, inclusion: Floats) -> Floats:
    if len(weight) == 0:
        return weight
    inverse = 1.0 / inclusion
    effective = weight * np.minimum(inverse, MAX_RELATIVE_INVERSE * np.median(inverse))
    # Mean 1 keeps the meaning of "how strongly to regularise" whatever scale the weights came in.
    return np.asarray(effective / effective.mean())


def _mix(state: Hashes) -> Hashes:
    """One round of splitmix64 (Steele et al. 2014, doi:10.1145/2660193.2660195): every bit of the state matters."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def mixed_with_seed(hashes: Hashes, seed: int) -> Hashes:
    """Other hashes of the same things, independent between seeds."""
    return _mix(hashes ^ _mix(np.full_like(hashes, seed % 2**64)))


def _groups(key_hash: Hashes, value_hash: Hashes) -> Ints:
    """A number per row; rows with the same key or the same values share it, and so on transitively."""
    n = len(key_hash)
    keys, key_of = np.unique(key_hash, return_inverse=True)
    values, value_of = np.unique(value_hash, return_inverse=True)
    if len(keys) == n:
        return value_of.astype(np.int64)
    if len(values) == n:
        return key_of.astype(np.int64)
    from scipy.sparse import coo_matrix  # slow to import, and most datasets need no graph
    from scipy.sparse.csgraph import connected_components

    size = len(keys) + len(values)
    graph = coo_matrix((np.ones(n, dtype=np.int8), (key_of, value_of + len(keys))), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    _, group = np.unique(component[key_of], return_inverse=True)
    return np.asarray(group, dtype=np.int64)


def _group_hashes(group: Ints, value_hash: Hashes) -> Hashes:
    """Each row's group, as the smallest value hash in it: more examples elsewhere do not change it."""
    if len(group) == 0:
        return value_hash
    smallest = np.full(int(group.max()) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(smallest, group, value_hash)
    return np.asarray(smallest[group])
