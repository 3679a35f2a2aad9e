"""Adults and children joined, divided without a look at their labels, and the few taught."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_domains import CLASSES, LEADS, PEOPLE, YEAR, made_up, single

from pecg_utils.data import domains, splits
from pecg_utils.data.domains import ADULTS, CHILDREN
from pecg_utils.data.quality import Fault, Report
from pecg_utils.data.recording import UNKNOWN, people
from pecg_utils.data.splits import NOWHERE, SIDES
from pecg_utils.errors import PecgError


@pytest.fixture(scope="module")
def both():
    return made_up()


def changed(windows, **columns):
    return replace(windows, table=windows.table.assign(**columns))


def test_joined_every_window_is_there_with_its_own_labels_and_domain(both):
    grown, young = single(ADULTS), single(CHILDREN)
    assert len(both) == len(grown) + len(young)
    assert both.table["domain"].tolist() == [ADULTS] * len(grown) + [CHILDREN] * len(young)
    for part, rows in ((grown, slice(len(grown))), (young, slice(len(grown), None))):
        np.testing.assert_array_equal(both.steps[rows], part.steps)
        np.testing.assert_array_equal(both.gain[rows], part.gain)
        np.testing.assert_array_equal(both.labels[rows], part.labels)
        assert both.table["record"][rows].tolist() == part.table["record"].tolist()
    assert both.steps.dtype == np.int16
    assert both.table.index.is_unique
    assert (both.table["site"] == both.table["source"]).all()
    assert domains.join([grown]).table["domain"].unique().tolist() == [ADULTS]
    assert domains.join([], young).table["domain"].unique().tolist() == [CHILDREN]


def test_joined_no_two_sets_have_a_patient_of_one_name(both):
    assert set(single(ADULTS).table["patient"]) == set(single(CHILDREN).table["patient"])
    assert both.table["patient"].nunique() == 2 * PEOPLE
    three = domains.join([single(ADULTS), single(ADULTS, seed=1)], single(CHILDREN))
    assert three.table["patient"].nunique() == 3 * PEOPLE
    assert three.table["proxy"].nunique() == 3 * PEOPLE


def test_whoever_has_no_name_has_a_proxy_of_its_own_set():
    nameless = changed(single(CHILDREN), patient=UNKNOWN)
    joined = domains.join([single(ADULTS)], nameless)
    young = joined.table[joined.table["domain"] == CHILDREN]
    assert (young["patient"] == UNKNOWN).all()  # and not "1: unknown", which would be one person
    assert young["proxy"].tolist() == [f"1: recording {record}" for record in young["record"]]
    assert people(joined.table).nunique() == PEOPLE + len(young)


def test_joined_windows_have_a_key_of_their_own_and_all_faults():
    grown = single(ADULTS)
    faulty = replace(single(CHILDREN), report=Report(9, (Fault("c1", "flat", "II", True),)))
    joined = domains.join([grown], faulty)
    assert joined.report.checked == grown.report.checked + 9
    assert joined.report.faults == faulty.report.faults
    keys = {joined.key, domains.join([grown]).key, domains.join([], faulty).key, grown.key}
    assert len(keys) == 4


@pytest.mark.parametrize("what", ["labels", "leads", "rate", "length"])
def test_windows_that_are_not_alike_are_not_joined(what):
    young = single(CHILDREN)
    other = {
        "labels": replace(young, classes=CLASSES[::-1]),
        "leads": replace(young, settings=replace(young.settings, leads=LEADS[::-1])),
        "rate": replace(young, settings=replace(young.settings, fs=16.0)),
        "length": replace(young, steps=young.steps[:, :, :20]),
    }[what]
    with pytest.raises(PecgError, match="cannot be joined: they differ in their labels, leads"):
        domains.join([single(ADULTS)], other)


def test_labels_are_chosen_by_name_and_in_order(both):
    fewer = domains.of_labels(both, ["LVH", "NORM"])
    assert fewer.classes == ("LVH", "NORM")
    np.testing.assert_array_equal(fewer.labels, both.labels[:, [2, 0]])
    assert fewer.key not in (both.key, domains.of_labels(both, ["NORM", "LVH"]).key)


@pytest.mark.parametrize("domain", [ADULTS, CHILDREN])
def test_parts_keep_a_person_together_and_stand_six_to_one_to_three(both, domain):
    found = domains.parts(both.table, domain, seed=0)
    assert list(found) == list(SIDES)
    rows = np.sort(np.concatenate(list(found.values())))
    np.testing.assert_array_equal(rows, np.flatnonzero(both.table["domain"] == domain))
    of = [set(both.table["patient"].iloc[rows]) for rows in found.values()]
    assert [len(people) for people in of] == [24, 4, 12]
    assert sum(map(len, of)) == PEOPLE


def test_parts_keep_equal_samples_together_whoever_they_are_of(both):
    young = np.flatnonzero(both.table["domain"] == CHILDREN)
    table = both.table.copy()
    pairs = np.random.default_rng(0).permutation(young).reshape(-1, 2)[:12]
    for first, second in pairs:
        table.loc[second, "same"] = table.loc[first, "same"]
    for seed in range(3):
        found = domains.parts(table, CHILDREN, seed)
        side = {row: name for name, rows in found.items() for row in rows}
        assert all(side[first] == side[second] for first, second in pairs)
        for rows in found.values():
            elsewhere = table.iloc[np.setdiff1d(young, rows)]
            assert not set(table["patient"].iloc[rows]) & set(elsewhere["patient"])
    loose = domains.parts(both.table, CHILDREN, 0)  # without the links some were parted
    apart = {row: name for name, rows in loose.items() for row in rows}
    assert any(apart[first] != apart[second] for first, second in pairs)


def test_each_side_has_all_ages(both):
    """Of each ten neighbours in age six train, one validates, three are tested."""
    table = made_up(children=80).table
    found = domains.parts(table, CHILDREN, seed=1)
    for rows, of_ten in zip(found.values(), (6, 1, 3), strict=True):
        ages = table.iloc[rows].drop_duplicates("patient")["age_days"]
        rank = ((ages - 1) / (17 * YEAR - 1) * 79).round().astype(int)
        assert (rank // 10).value_counts().to_dict() == dict.fromkeys(range(8), of_ten)


def test_a_part_depends_on_its_seed_and_its_domain_and_on_nothing_of_the_other(both):
    def test_side(table, domain, seed=0):
        return table["record"].iloc[domains.parts(table, domain, seed)["test"]].tolist()

    assert test_side(both.table, CHILDREN) == test_side(made_up(adults=31).table, CHILDREN)
    assert test_side(both.table, CHILDREN) == test_side(both.table, CHILDREN)
    assert test_side(both.table, CHILDREN) != test_side(both.table, CHILDREN, seed=1)
    ages = both.table["age_days"].to_numpy(copy=True)
    ages[both.table["domain"] == ADULTS] = 40 * YEAR  # of one age, they are dealt at random
    alike = both.table.assign(age_days=ages)
    assert test_side(alike, ADULTS) != test_side(alike, ADULTS, seed=1)


def test_who_states_no_age_is_divided_with_the_others(both):
    table = both.table.assign(age_days=both.table["age_days"].where(both.table.index % 3 > 0))
    assert sum(map(len, domains.parts(table, CHILDREN, 0).values())) == 50
    found = domains.parts(both.table.assign(age_days=np.nan), CHILDREN, 0)
    assert sum(map(len, found.values())) == 50


def test_few_children_are_all_tested_and_few_adults_refused():
    few = made_up(children=29).table
    found = domains.parts(few, CHILDREN, 0)
    assert [len(rows) for rows in found.values()] == [0, 0, (few["domain"] == CHILDREN).sum()]
    assert (few["domain"].iloc[found["test"]] == CHILDREN).all()
    assert len(domains.parts(made_up(children=30).table, CHILDREN, 0)["validation"])
    with pytest.raises(PecgError, match="There are 29 adults to train on, and 30 are needed"):
        domains.parts(made_up(adults=29).table, ADULTS, 0)
    assert len(domains.parts(made_up(adults=30).table, ADULTS, 0)["train"])


@pytest.mark.parametrize("shots", [0, 3, None])
def test_who_is_divided_how(both, shots):
    split = domains.divide(both.table, both.labels, shots, 0, 0, CHILDREN)
    of = {domain: domains.parts(both.table, domain, 0) for domain in (ADULTS, CHILDREN)}
    taught = of[ADULTS if shots == 0 else CHILDREN]
    np.testing.assert_array_equal(split.rows("test"), of[CHILDREN]["test"])
    np.testing.assert_array_equal(split.rows("validation"), taught["validation"])
    train = split.rows("train")
    if shots == 3:
        assert 0 < len(train) < len(taught["train"])
        assert set(train) < set(taught["train"])
        assert both.labels[train].sum(axis=0).tolist() == [3, 3, 3]
    else:
        np.testing.assert_array_equal(train, taught["train"])
    nowhere = np.flatnonzero(split.side == NOWHERE)
    assert len(nowhere) == len(both) - sum(len(split.rows(side)) for side in SIDES) > 0
    assert split.by == "domain"
    splits.check(split, both.table)


def test_adults_can_be_tested(both):
    split = domains.divide(both.table, both.labels, 0, 0, 0, ADULTS)
    tested = domains.parts(both.table, ADULTS, 0)["test"]
    np.testing.assert_array_equal(split.rows("test"), tested)


def test_labels_have_no_say_in_who_is_on_which_side(both):
    """But for who is in a support set: of the children who may be taught, and of nobody else."""
    dealt = np.random.default_rng(5).permutation(both.labels)
    for shots in (0, None):
        one = domains.divide(both.table, both.labels, shots, 0, 0, CHILDREN)
        other = domains.divide(both.table, dealt, shots, 0, 0, CHILDREN)
        np.testing.assert_array_equal(one.side, other.side)
    few = domains.divide(both.table, both.labels, 3, 0, 0, CHILDREN)
    may = domains.parts(both.table, CHILDREN, 0)["train"]
    poisoned = ~both.labels
    poisoned[may] = both.labels[may]
    again = domains.divide(both.table, poisoned, 3, 0, 0, CHILDREN)
    np.testing.assert_array_equal(few.side, again.side)
    other = domains.divide(both.table, dealt, 3, 0, 0, CHILDREN)
    assert not np.array_equal(few.side, other.side)
    for side in ("validation", "test"):
        np.testing.assert_array_equal(few.rows(side), other.rows(side))


def test_each_draw_is_a_support_set_of_its_own(both):
    drawn = [
        domains.divide(both.table, both.labels, 3, draw, 0, CHILDREN).rows("train")
        for draw in (0, 1, 0)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], drawn[1])


def carrying(counts, seed=0):
    """Labels (n, 3): so many rows with each pattern, in random order."""
    rows = [pattern for pattern, count in counts.items() for _ in range(count)]
    return np.random.default_rng(seed).permutation(np.array(rows, dtype=bool))


@pytest.mark.parametrize("seed", range(3))
def test_a_support_set_holds_at_most_so_many_of_each_label(seed):
    labels = carrying({(1, 0, 0): 40, (0, 1, 0): 20, (0, 1, 1): 8, (1, 1, 0): 10, (0, 0, 0): 9})
    taken = domains.support(labels, 6, seed)
    assert labels[taken].sum(axis=0).tolist() == [6, 6, 6]
    assert labels[taken].any(axis=1).all()  # who carries no label is not asked for
    assert len(set(taken)) == len(taken)
    other = domains.support(labels, 6, seed + 10)
    assert taken.tolist() != other.tolist()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_rarest_label_chooses_first(order):
    """The rare label comes with a common one alone: were that filled first, none would be left."""
    labels = carrying({(1, 0, 0): 60, (1, 1, 0): 3, (0, 0, 1): 9})[:, order]
    rare = order.index(1)
    for seed in range(5):
        taken = domains.support(labels, 3, seed)
        assert labels[taken].sum(axis=0)[rare] == 3


def test_who_would_give_another_label_too_many_is_passed_over():
    labels = carrying({(1, 1, 0): 10, (0, 1, 1): 4, (1, 0, 0): 30})
    taken = domains.support(labels, 4, 0)
    assert labels[taken].sum(axis=0).tolist() == [4, 4, 4]
    # The rarest takes all of the second label with it, so that none comes with both.
    assert not (labels[taken, 0] & labels[taken, 1]).any()


def test_more_shots_than_there_are_take_all_and_none_asks_for_all():
    labels = carrying({(1, 0, 0): 5, (0, 1, 1): 2, (0, 0, 0): 3})
    taken = domains.support(labels, 100, 0)
    np.testing.assert_array_equal(taken, np.flatnonzero(labels.any(axis=1)))
    np.testing.assert_array_equal(domains.support(labels, None, 0), np.arange(10))


@pytest.mark.parametrize("shots", [3, None])
@pytest.mark.parametrize("labels", [np.zeros((0, 3), bool), np.zeros((7, 3), bool)])
def test_an_empty_support_set_is_refused(labels, shots):
    with pytest.raises(PecgError, match="support set is empty: none of the children who may"):
        domains.support(labels, shots, 0)


def test_too_few_children_to_be_divided_can_be_tested_and_not_taught():
    few = made_up(children=20)
    split = domains.divide(few.table, few.labels, 0, 0, 0, CHILDREN)
    assert len(split.rows("test")) == 25
    with pytest.raises(PecgError, match="support set is empty"):
        domains.divide(few.table, few.labels, None, 0, 0, CHILDREN)


def test_what_a_support_set_holds_is_counted(both):
    counted = domains.shot_counts(both, ["normal", "fast", "thick"], 4, seed=2)
    assert counted.columns.tolist() == ["label", "words", "asked", "found", "there"]
    assert counted["label"].tolist() == list(CLASSES)
    assert counted["words"].tolist() == ["normal", "fast", "thick"]
    assert (counted["asked"] == 4).all()
    train = domains.divide(both.table, both.labels, 4, 0, 2, CHILDREN).rows("train")
    assert counted["found"].tolist() == both.labels[train].sum(axis=0).tolist()
    may = domains.parts(both.table, CHILDREN, 2)["train"]
    assert counted["there"].tolist() == both.labels[may].sum(axis=0).tolist()
    nothing = replace(both, labels=np.zeros_like(both.labels))
    assert domains.shot_counts(nothing, CLASSES, 4, 2)["found"].tolist() == [0, 0, 0]


def test_adults_are_those_of_eighteen_years_and_more():
    table = pd.DataFrame({"age_days": [17.99 * YEAR, 18 * YEAR, 90 * YEAR, np.nan, 0.0]})
    assert domains.adults_alone(table).tolist() == [False, True, True, False, False]
    with pytest.raises(PecgError, match=r"None of the 3 recordings .*: 1 state no age, the others"):
        domains.adults_alone(table.iloc[[0, 3, 4]])


def test_a_domain_split_is_kept_and_read_back(both, tmp_path):
    split = domains.divide(both.table, both.labels, 3, 0, 0, CHILDREN)
    split.save(tmp_path / "split.json")
    again = splits.load(tmp_path / "split.json", both.table)
    np.testing.assert_array_equal(again.side, split.side)
    assert again.by == "domain"


@pytest.mark.parametrize("by", ["patient", "samples"])
def test_a_domain_split_that_leaks_is_refused(both, tmp_path, by):
    split = domains.divide(both.table, both.labels, 0, 0, 0, CHILDREN)
    splits.check(split, both.table)
    table = both.table.copy()
    if by == "patient":  # both recordings of one adult, one of them tested
        twice = table["patient"].duplicated(keep=False) & (split.side == 0)
        side = split.side.copy()
        side[np.flatnonzero(twice)[0]] = 2
        who = table["patient"][twice].iloc[0]
        sentence = f"domain split is refused: proxy {who} stands on two sides"
    else:  # a tested child's samples in the adults' training set
        adult, child = split.rows("train")[0], split.rows("test")[0]
        table.loc[child, "same"] = table.loc[adult, "same"]
        side = split.side
        sentence = f"{table['record'][adult]} and {table['record'][child]} have the same samples"
    splits.Split("domain", side).save(tmp_path / "split.json")
    with pytest.raises(PecgError, match=sentence):
        splits.load(tmp_path / "split.json", table)


def test_who_is_on_no_side_leaks_nothing(both):
    split = domains.divide(both.table, both.labels, 0, 0, 0, CHILDREN)
    twice = both.table["patient"].duplicated(keep=False) & (split.side == 0)
    side = split.side.copy()
    side[np.flatnonzero(twice)[0]] = NOWHERE
    splits.check(splits.Split("domain", side), both.table)


def test_a_side_without_anyone_is_refused(both):
    split = domains.divide(both.table, both.labels, 0, 0, 0, CHILDREN)
    with pytest.raises(PecgError, match="domain split leaves nothing for validation"):
        splits.check(splits.Split("domain", np.where(split.side == 1, 0, split.side)), both.table)


def test_a_domain_split_is_made_here_alone(both):
    with pytest.raises(PecgError, match=r"made by `domains\.divide`"):
        splits.make(both.table, both.labels, "domain", 0)
    with pytest.raises(PecgError, match="no cross-validation by 'domain'"):
        splits.several(both.table, both.labels, "domain", 0, 3)
