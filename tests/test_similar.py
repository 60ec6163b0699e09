"""Needs that ask the same are proposed together; opposite ones never are, however alike they look."""

import time

import pytest

from indexing.encoder import load_encoder, shipped_encoder
from indexing.paraphrases import load_article_questions
from indexing.similar import Proposal, Similar, Waiting, known_questions, similar_by

SAME = ("客户拖欠货款不给怎么办", "买家一直拖欠货款不付怎么办", "对方拖欠我的货款不付，怎么办")
OPPOSITE = (
    ("试用期内可以辞退员工吗", "试用期内不可以辞退员工吗"),
    ("原告不到庭会怎么处理", "被告不到庭会怎么处理"),
    ("收到判决书15日内可以上诉吗", "收到判决书30日内可以上诉吗"),
    ("员工签了劳动合同还要赔双倍工资吗", "员工没签劳动合同还要赔双倍工资吗"),
)


@pytest.fixture(scope="module")
def similar() -> Similar:
    return similar_by(shipped_encoder())


def waiting(*texts: str, answered: tuple[int, ...] = (), leads: tuple[int, ...] = ()) -> list[Waiting]:
    return [Waiting(f"XQ-2026-{place:04d}", text, place in answered, place in leads) for place, text in enumerate(texts)]


def members(proposal: Proposal) -> set[str]:
    return {proposal.lead, *(no for no, _ in proposal.members)}


def test_same_questions_are_proposed_around_a_centre_and_others_stay_out(similar: Similar) -> None:
    found = similar.propose(waiting(*SAME, "公司注册资本要多久缴足", "网购七天无理由退货怎么算"))
    assert [members(proposal) for proposal in found] == [{"XQ-2026-0000", "XQ-2026-0001", "XQ-2026-0002"}]
    likeness = [like for _, like in found[0].members]
    assert likeness == sorted(likeness, reverse=True)
    assert likeness[-1] >= similar.proposed_from


@pytest.mark.parametrize("pair", OPPOSITE)
def test_opposite_questions_are_near_and_yet_never_proposed(similar: Similar, pair: tuple[str, str]) -> None:
    one, other = similar.encoder.encode(pair)
    assert float(one @ other) > 0.8, "the test is about questions that a cosine takes for the same"
    assert similar.propose(waiting(*pair)) == []
    assert similar.nearest(pair[0], {"XQ-2026-0001": [pair[1]]}) is None
    assert similar.nearest(pair[1], {"XQ-2026-0001": [pair[0]]}) is None


def test_what_staff_said_is_unlike_is_not_proposed_again(similar: Similar) -> None:
    needs = waiting(*SAME[:2])
    assert len(similar.propose(needs)) == 1
    assert similar.propose(needs, {("XQ-2026-0000", "XQ-2026-0001")}) == []
    assert similar.propose(needs, {("XQ-2026-0001", "XQ-2026-0000")}) == []
    assert len(similar.propose(needs)) == 1


def test_an_answered_need_leads_but_never_joins_and_a_group_keeps_its_lead(similar: Similar) -> None:
    assert similar.propose(waiting(*SAME[:2], answered=(0, 1))) == []
    (found,) = similar.propose(waiting(*SAME[:2], answered=(1,)))
    assert (found.lead, [no for no, _ in found.members]) == ("XQ-2026-0001", ["XQ-2026-0000"])
    for lead in range(3):
        (found,) = similar.propose(waiting(*SAME, leads=(lead,)))
        assert found.lead == f"XQ-2026-{lead:04d}"


@pytest.mark.parametrize("texts", [(), ("",), ("", ""), ("？？？", "，。"), ("\ud7ff", "𠀀𠀁"), ("长" * 50_000, "长" * 50_000 + "短")])
def test_nothing_and_nonsense_break_nothing(similar: Similar, texts: tuple[str, ...]) -> None:
    similar.propose(waiting(*texts))
    similar.nearest("", {"XQ-2026-0001": texts or [""]})
    assert similar.propose(waiting("", "")) == []
    assert similar.nearest("怎么办", {}) is None


def test_a_question_finds_the_group_by_any_of_its_questions(similar: Similar) -> None:
    groups = {"XQ-2026-0007": ["网购七天无理由退货怎么算"], "XQ-2026-0009": [SAME[0], SAME[1]]}
    assert similar.nearest(SAME[2], groups) == "XQ-2026-0009"
    assert similar.nearest("员工工伤认定要什么材料", groups) is None


def test_limits_are_found_for_the_encoder_and_hold_on_questions_they_were_not_found_on() -> None:
    known = known_questions()
    ones, others = ([line for line in known if hash_of(line.entry) == half] for half in (0, 1))
    similar = Similar(load_encoder(), ones)
    assert similar.proposed_from < similar.offered_from
    found = similar.propose([Waiting(str(place), line.text) for place, line in enumerate(others)])
    pairs = [(others[int(proposal.lead)], others[int(no)]) for proposal in found for no, _ in proposal.members]
    right = sum(bool(one.right & other.right) for one, other in pairs)
    assert len(pairs) > 200
    assert right / len(pairs) > 0.5


def hash_of(entry: str) -> int:
    """Half of the entries, the same ones every time."""
    return sum(entry.encode()) % 2


def test_two_thousand_needs_take_about_a_second(similar: Similar) -> None:
    needs = [Waiting(str(place), asked.questions[0]) for place, asked in enumerate(load_article_questions()[:2000])]
    similar.propose(needs)
    similar.propose(needs[:1])
    began = time.perf_counter()
    similar.propose(needs)
    assert time.perf_counter() - began < 2
