"""Measuring, sharpening, guarding: what the figures count, what a promise rests on, and which rebuilt index is turned away."""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.settings import Settings
from bot.startup import Opened
from indexing import building
from indexing.calibration import LEAST_ANSWERS, Sample, Sharpened, crossed, fit, reliability, reliability_plot, sharpened
from indexing.confidence import FEATURES, WEIGHED, Calibration, load_calibration
from indexing.encoder import Encoder, load_encoder
from indexing.evaluation import Share
from indexing.guard import Comparison, compare
from indexing.index import Unit
from indexing.local import build
from knowledge.errors import BadInput, Unreadable
from tests.command_line import command, faq, in_json, json_lines, refusal, small_content
from tests.test_search import calibration_file

THINGS = (
    "停车费", "水费", "电费", "采暖费", "物业费", "押金", "会费", "学费", "运费", "仓储费", "装卸费", "检测费",
    "审计费", "评估费", "公证费", "翻译费", "广告费", "设计费", "监理费", "保险费", "加盟费", "培训费", "咨询费", "代理费",
    "手续费", "维修费", "清洁费", "绿化费", "租车费", "住宿费", "餐费", "体检费", "快递费", "印刷费", "网络费", "电话费",
    "版权费", "软件费", "会议费", "展览费",
)  # fmt: skip
ELSEWHERE = tuple(
    f"{what}{how}"
    for what in ("孩子上学", "老人看病", "邻居养狗", "楼上漏水", "飞机晚点", "手机摔坏")
    for how in ("找谁", "怎么投诉", "去哪问")
)


def rows(things: Sequence[str] = THINGS) -> list[dict[str, object]]:
    """A court's own table: one question about each thing, numbered in order."""
    return [faq(i, f"{thing}怎么收？", f"{thing}按表收。") for i, thing in enumerate(things)]


def labels(things: Sequence[str] = THINGS, table: str = "own") -> list[dict[str, object]]:
    """Questions about each thing, with the row that answers it; and questions nothing answers."""
    known: list[dict[str, object]] = [{"q": f"{thing}怎么收", "expect": [f"{table}:{i}"]} for i, thing in enumerate(things)]
    return known + unanswerable()


def unanswerable(*expect: str) -> list[dict[str, object]]:
    """Questions that nothing in the table answers, with the entries that a labeller gave them all the same."""
    return [{"q": text, "expect": list(expect)} for text in ELSEWHERE]


class Court:
    """A small installation: three shipped entries, a calibration as if shipped, and the court's own table."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.calibration = self.data / "calibration.json"

    def table(self, things: Sequence[str] = THINGS, name: str = "own") -> Path:
        """The table, written anew."""
        return json_lines(self.folder / f"{name}.jsonl", rows(things))

    def labelled(self, *lines: dict[str, object]) -> Path:
        """A file of labelled questions."""
        return json_lines(self.folder / "labelled.jsonl", lines)

    def state(self) -> tuple[str, Any]:
        """What serves, and what it answers."""
        pointer = (self.data / "index" / "current").read_text(encoding="utf-8")
        return pointer, [in_json(self.data, "ask", f"{thing}怎么收？")["candidates"] for thing in THINGS[:1]]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The folder every test works in, for the index knows its table by its path; and a copy of how it was when it was made."""
    folder, kept = tmp_path_factory.mktemp("court"), tmp_path_factory.mktemp("kept")
    content = small_content(folder / "content")
    more = "- id: B2\n  topic: B02\n  question: 公司欠税了怎么办？\n  answer: 尽快补缴。\n"
    (content / "faq" / "B.yaml").write_text(more, encoding="utf-8")
    weights = dict.fromkeys(WEIGHED, 0.0) | {"cosine": 4.0, "margin": 4.0}
    shipped = calibration_file(folder / "shipped.json", load_encoder().fingerprint, weights=weights, intercept=-3.5, answer_from=0.9999)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "SHIPPED_CONTENT", content)
        patch.setattr("bot.startup.SHIPPED_CALIBRATION", shipped)
        # What every command would make for itself from the shipped thesaurus, made once.
        patch.setattr(Opened, "spelling", Opened(Settings(data_dir=folder / "data")).spelling)
        court = Court(folder)
        in_json(court.data, "reindex", "--knowledge", court.table())
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        yield folder, kept


@pytest.fixture
def court(prepared: tuple[Path, Path]) -> Court:
    """The table is indexed; nothing is answered directly until somebody calibrates."""
    folder, kept = prepared
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)
    return Court(folder)


# --- evaluate -------------------------------------------------------------------------------------------------------------


def figures(shares: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {name: (share["hits"], share["total"]) for name, share in shares.items()}


def test_figures_are_also_given_for_each_style_and_topic(court: Court) -> None:
    calibration_file(court.calibration, load_encoder().fingerprint, intercept=9.0, answer_from=0.5)
    file = court.labelled(
        {"q": "客户拖欠货款不给怎么办？", "expect": ["A1"], "style": "plain"},
        {"q": "商标被别人抢先注册了怎么办？", "expect": ["C1"], "style": "street"},
        {"q": "公司欠税了怎么办？", "expect": ["B2", "A1"], "kind": "street"},
        {"q": "停车费怎么收？", "expect": ["own:0"]},
        {"q": "员工试用期内能不能辞退？", "not": ["B1"], "may": [], "kind": "negation"},
        {"q": "员工试用期满后能不能辞退？", "not": ["B1"], "may": ["C1"], "kind": "negation"},
        {"q": "孩子上学找谁", "expect": [], "kind": "other"},
    )
    report = in_json(court.data, "evaluate", file)
    parts = {name: figures(shares) for name, shares in report["parts"].items()}
    assert set(parts) == {"问法 negation", "问法 other", "问法 plain", "问法 street", "主题 A01", "主题 B02"}
    first = "可答问题 第一候选正确"
    assert {name: part[first] for name, part in parts.items()} == {
        "问法 plain": (1, 1),
        "问法 street": (2, 2),
        "问法 negation": (0, 1),
        "问法 other": (0, 0),
        # By the first entry that is named: the right one, else the one that misleads.
        "主题 A01": (2, 3),
        "主题 B02": (1, 1),
    }
    whole = figures(report["figures"])
    assert whole[first] == (4, 5) and whole["不该答的 被直接答复"] == parts["问法 other"]["不该答的 被直接答复"] == (1, 1)
    # The one that is word for word the wrong entry's is answered with it; the other differs in its stage.
    assert whole["一字之差 照错的答"] == parts["问法 negation"]["一字之差 照错的答"] == (1, 2)
    shown = command(court.data, "evaluate", file).stdout
    assert "一字之差 照错的答" in shown and "问法 street" in shown and "0/0" not in shown


# --- calibrate ------------------------------------------------------------------------------------------------------------


def test_what_calibrating_writes_is_used_by_the_next_command(court: Court) -> None:
    asked = [f"{thing}怎么收" for thing in THINGS[:2]]
    assert {in_json(court.data, "ask", text)["band"] for text in asked} == {"offer"}
    said = command(court.data, "calibrate", court.labelled(*labels()), "--promise", "0.85")
    assert said.exit_code == 0 and f"依据 {len(labels())} 个" in said.stdout and "calibration.json" in said.stdout, said.output
    assert {in_json(court.data, "ask", text)["band"] for text in asked} == {"answer"}
    assert {in_json(court.data, "ask", text)["band"] for text in ELSEWHERE[:2]} <= {"offer", "need"}
    written = json.loads(court.calibration.read_text(encoding="utf-8"))
    assert written["model"] == load_encoder().fingerprint and written["evidence"]["promised"] == 0.85
    assert 0 < written["offer_from"] <= written["answer_from"] < 1 and not list(court.data.glob("calibration.partial"))
    # Few questions: the shipped weights on another scale.
    assert written["weights"]["cosine"] == pytest.approx(written["weights"]["margin"]) != 0 == written["weights"]["support"]
    # Without the file, the bot is as it was delivered.
    court.calibration.unlink()
    assert in_json(court.data, "ask", asked[0])["band"] == "offer"


def refused(court: Court, *lines: dict[str, object], promise: str = "0.85") -> str:
    """What calibrating with these questions is refused with; the calibration that is in use stays, byte for byte."""
    before = b"" if not court.calibration.exists() else court.calibration.read_bytes()
    said = refusal(command(court.data, "calibrate", court.labelled(*lines), "--promise", promise))
    assert before == (b"" if not court.calibration.exists() else court.calibration.read_bytes())
    assert not list(court.data.glob("calibration.partial"))
    return said


def test_too_little_evidence_is_refused_and_changes_nothing(court: Court) -> None:
    own = calibration_file(court.calibration, load_encoder().fingerprint, answer_from=0.98).read_bytes()
    said = refused(court, *labels()[:20], *labels()[-10:])
    assert (
        "还不够" in said and "85%" in said and "没有改动" in said and str(LEAST_ANSWERS) in said and court.calibration.read_bytes() == own
    )
    # Forty of forty right have a lower bound of 0.91.
    assert "95%" in refused(court, *labels(), promise="0.95")
    assert command(court.data, "calibrate", court.labelled(*labels()), "--promise", "0.9").exit_code == 0


def test_questions_of_one_kind_are_refused(court: Court) -> None:
    assert "一种结果" in refused(court, *unanswerable("own:39"))


def test_entries_that_are_not_in_the_library_are_refused(court: Court) -> None:
    """The exam of another installation would teach that nothing here answers anything."""
    lines = labels(table="theirs")
    assert "labelled.jsonl" in (said := refused(court, *lines)) and "一个也没有" in said


def test_a_file_without_answerable_questions_is_told_that(court: Court) -> None:
    assert "一种结果" in refused(court, *unanswerable())


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", "\xff", '{"model": 1}'],
)
def test_a_damaged_calibration_is_one_clear_line(court: Court, content: str) -> None:
    court.calibration.write_bytes(content.encode("latin-1"))
    file = court.labelled(*labels()[:1])
    for args in (("ask", "停车费怎么收"), ("evaluate", file), ("calibrate", file)):
        said = refusal(command(court.data, *args))
        assert "calibration.json" in said and "删除" in said
    assert court.calibration.read_bytes() == content.encode("latin-1")
    court.calibration.unlink()
    assert in_json(court.data, "ask", "停车费怎么收")["candidates"]


@pytest.mark.parametrize("value", ["0.5", None, True, [0.5]], ids=str)
@pytest.mark.parametrize("field", ["answer_from", "offer_from", "intercept", "weights"])
def test_a_value_that_is_no_number_is_damage_too(tmp_path: Path, field: str, value: object) -> None:
    bad = dict.fromkeys(WEIGHED, 1.0) | {WEIGHED[-1]: value} if field == "weights" else value
    with pytest.raises(Unreadable, match=r"calibration\.json.*删除"):
        load_calibration(calibration_file(tmp_path / "calibration.json", "m", **{field: bad}), "m")


def test_once_a_damaged_calibration_is_deleted_the_court_can_calibrate_anew(court: Court) -> None:
    """Weights from before products counted are damage too: calibrating refuses them and says what to do."""
    damaged = calibration_file(court.calibration, load_encoder().fingerprint, weights=dict.fromkeys(FEATURES, 1.0)).read_bytes()
    assert "删除" in refused(court, *labels()) and court.calibration.read_bytes() == damaged
    court.calibration.unlink()
    assert command(court.data, "calibrate", court.labelled(*labels()), "--promise", "0.85").exit_code == 0
    assert in_json(court.data, "ask", f"{THINGS[0]}怎么收")["band"] == "answer"


# --- what a promise rests on ----------------------------------------------------------------------------------------------


def sample(value: float, right: bool, group: str, *, first: bool = True, conflict: bool = False) -> Sample:
    """A candidate of which only the first feature says anything."""
    return Sample("own", group, first, [value, *[0.0] * (len(WEIGHED) - 1)], right, conflict)


def synthetic(seed: int, total: int, sharpness: float, ties: bool = False) -> list[Sample]:
    """Questions whose candidates are right more often the higher their value."""
    random = np.random.default_rng(seed)
    values = random.normal(size=total).round(0 if ties else 9)
    right = random.random(total) < 1 / (1 + np.exp(-sharpness * values))
    seen = zip(values.tolist(), right.tolist(), random.random(total).tolist(), strict=True)
    return [sample(v, r, f"g{i % 97}", first=chance > 0.2, conflict=chance > 0.9) for i, (v, r, chance) in enumerate(seen)]


PLAIN = Calibration("m", (1.0, *[0.0] * (len(WEIGHED) - 1)), 0.0, 0.9, 0.1)
UNKNOWN_MODEL = Calibration("m", (1.0, *[0.0] * (len(WEIGHED) - 1)), 0.0, math.inf, 0.1)


def kept(samples: Sequence[Sample], found: Sharpened) -> Share:
    """Of all questions that reach the threshold when they are judged by the others, the share answered rightly."""
    anew = "全部权重" in found.lines[0]
    x = np.array([one.values for one in samples])
    columns = x if anew else (PLAIN.intercept + x @ np.array(PLAIN.weights))[:, None]
    predicted = crossed(columns, np.array([one.right for one in samples]), [one.group for one in samples])
    answered = [
        one.right
        for one, p in zip(samples, predicted.tolist(), strict=True)
        if one.first and not one.conflict and p >= found.content["answer_from"]
    ]
    return Share(sum(answered), len(answered))


@given(st.integers(0, 10_000), st.sampled_from([60, 200, 700]), st.sampled_from([1.0, 3.0, 9.0]), st.sampled_from([0.6, 0.8, 0.9, 0.95]))
@settings(max_examples=60, deadline=None)
def test_a_promise_is_a_lower_bound(seed: int, total: int, sharpness: float, promised: float) -> None:
    samples = synthetic(seed, total, sharpness)
    try:
        found = sharpened(PLAIN, samples, promised)
    except BadInput as error:
        assert "没有改动" in str(error)
        return
    share = kept(samples, found)
    assert share.total >= LEAST_ANSWERS and share.interval[0] >= promised
    assert found.content["evidence"]["precision"] == str(share) and found.content["offer_from"] <= found.content["answer_from"]


def test_a_promise_holds_where_many_questions_are_level() -> None:
    """Repeated questions have the same probability: they are answered together or not at all."""
    promises = 0
    for seed in range(40):
        samples = synthetic(seed, 400, 3.0, ties=True)
        try:
            found = sharpened(PLAIN, samples, 0.85)
        except BadInput:
            continue
        promises += 1
        assert (share := kept(samples, found)).interval[0] >= 0.85 and str(share) == found.content["evidence"]["precision"]
    assert promises > 5


def test_some_promises_are_kept_and_impossible_ones_refused() -> None:
    """So that the property above is about something."""
    assert sharpened(PLAIN, synthetic(1, 300, 9.0), 0.8).content["answer_from"] < 1
    with pytest.raises(BadInput, match="99%"):
        sharpened(PLAIN, synthetic(1, 300, 1.0), 0.99)


def test_a_higher_promise_answers_less() -> None:
    samples = synthetic(5, 2_000, 3.0)
    thresholds = [sharpened(PLAIN, samples, promised).content["answer_from"] for promised in (0.6, 0.8, 0.9)]
    assert thresholds == sorted(thresholds) and thresholds[0] < thresholds[-1]


def test_few_questions_keep_the_weights_and_many_or_another_model_fit_them() -> None:
    few, many = synthetic(3, 300, 9.0), synthetic(3, 900, 9.0)
    assert "沿用自带权重" in sharpened(PLAIN, few, 0.7).lines[0]
    assert "重新估计" in sharpened(PLAIN, many, 0.7).lines[0] and "重新估计" in sharpened(UNKNOWN_MODEL, few, 0.7).lines[0]


def test_what_is_written_judges_like_what_was_fitted() -> None:
    """With few questions: weights times a scale are the same line, so that whoever was likelier still is."""
    content = sharpened(PLAIN, synthetic(3, 300, 9.0), 0.7).content
    weights = [content["weights"][name] for name in WEIGHED]
    assert weights[0] > 0 == max(map(abs, weights[1:])) and all(math.isfinite(value) for value in weights)


@pytest.mark.parametrize("total", [300, 900])
def test_what_is_written_is_read_back(tmp_path: Path, total: int) -> None:
    """With few questions and with many: a weight for every name, in the order of the values."""
    content = sharpened(PLAIN, synthetic(3, total, 9.0), 0.7).content
    (tmp_path / "c.json").write_text(json.dumps(content), encoding="utf-8")
    read = load_calibration(tmp_path / "c.json", "m")
    assert list(content["weights"]) == list(WEIGHED) and read.weights == tuple(content["weights"].values())
    assert (read.intercept, read.answer_from, read.offer_from) == tuple(
        content[name] for name in ("intercept", "answer_from", "offer_from")
    )


@pytest.mark.parametrize("right", [True, False])
def test_one_class_alone_is_refused(right: bool) -> None:
    samples = [sample(i / 9, right, f"g{i}") for i in range(90)]
    for fitted in (lambda: sharpened(PLAIN, samples, 0.8), lambda: fit(samples)):
        with pytest.raises(BadInput, match="一种结果"):
            fitted()


def test_nobody_is_judged_by_questions_of_the_same_group() -> None:
    """Two groups that say the opposite: each is predicted from the other, so both are predicted wrong."""
    groups = ["a"] * 20 + ["d"] * 20
    x = np.array([[1.0 if i % 2 else -1.0] for i in range(40)])
    y = np.array([bool(i % 2) == (i < 20) for i in range(40)])
    predicted = crossed(x, y, groups)
    assert ((predicted > 0.5) != y).all()


@pytest.mark.parametrize("times", [2, 5])
def test_a_sample_that_counts_twice_is_as_good_as_two(times: int) -> None:
    samples = synthetic(7, 300, 3.0)
    x, y = np.array([[one.values[0], one.values[0] ** 2] for one in samples]), np.array([one.right for one in samples])
    groups, heavy = [one.group for one in samples], np.arange(len(samples)) % 3 == 0
    weighed = crossed(x, y, groups, np.where(heavy, float(times), 1.0))
    copies = np.concatenate([np.arange(len(samples)), *[np.flatnonzero(heavy)] * (times - 1)])
    repeated = crossed(x[copies], y[copies], [groups[i] for i in copies])
    assert repeated[: len(samples)] == pytest.approx(weighed, abs=1e-6)
    assert np.abs(weighed - crossed(x, y, groups)).max() > 1e-3
    assert crossed(x, y, groups, np.ones(len(samples))) == pytest.approx(crossed(x, y, groups))


def test_what_must_not_be_answered_counts_more() -> None:
    """The same evidence makes us less sure when what is wrong in it are pairs that turn the law round."""

    def sure(kind: str) -> float:
        samples = [Sample("answerable" if right else kind, f"g{i % 50}", True, one.values, right, False) for i, one, right in seen]
        fitted = fit(samples, 0.5)
        return float(np.mean([fitted["intercept"] + fitted["weights"][WEIGHED[0]] * one.values[0] for one in drawn]))

    drawn = synthetic(11, 400, 2.0)
    seen = [(i, one, one.right) for i, one in enumerate(drawn)]
    assert max(sure("pairs"), sure("nothing")) < sure("left out") - 0.5


def test_evidence_is_counted_by_kind() -> None:
    samples = [
        Sample("pairs" if i % 2 else "left out", f"g{i}", True, [i / 100, *[0.0] * (len(WEIGHED) - 1)], i > 100, False) for i in range(200)
    ]
    found = fit(samples, 0.6)["evidence"]
    kinds = found["by kind"]
    assert set(kinds) == {"pairs", "left out"} and all(kind["questions"] == 100 for kind in kinds.values())
    assert sum(kind["right"] for kind in kinds.values()) / sum(kind["answered"] for kind in kinds.values()) >= 0.6
    assert sum(count for _, _, count in found["reliability"]) == found["samples"] == 200


def test_reliability_compares_what_was_predicted_with_what_came_true() -> None:
    predicted = np.array([0.0, 0.02, 0.04, 0.55, 0.59, 0.999, 1.0])
    right = np.array([False, False, True, True, False, True, True])
    assert reliability(predicted, right) == [(0.02, 0.3333, 3), (0.57, 0.5, 2), (0.9995, 1.0, 2)]
    assert reliability(np.zeros(0), np.zeros(0, bool)) == []


# --- the guard ------------------------------------------------------------------------------------------------------------


def rotated(moved: int) -> list[str]:
    """The things of the table, with the first `moved` of them each under its neighbour's number."""
    return [*THINGS[1:moved], THINGS[0], *THINGS[moved:]] if moved else list(THINGS)


@pytest.fixture
def guarded(court: Court) -> Court:
    """The court has an exam of its own about its table."""
    json_lines(court.data / "golden.jsonl", labels())
    return court


@pytest.mark.parametrize("moved", [5, 40])
def test_an_index_that_finds_less_is_not_switched_to_unless_accepted(guarded: Court, moved: int) -> None:
    before = guarded.state()
    for knowledge in ((), ("--knowledge", guarded.table(rotated(moved)))):
        said = refusal(command(guarded.data, "reindex", *knowledge))
        assert f"从 40 个变成 {40 - moved} 个（变差 {moved}，变好 0）" in said and "40 个检验题" in said and "--accept" in said
        assert guarded.state() == before
    assert in_json(guarded.data, "reindex", "--accept")["changes"]["files"]["changed"] == moved
    assert guarded.state()[0] != before[0]
    assert in_json(guarded.data, "ask", "停车费怎么收？")["candidates"][0]["entry"] == f"own:{moved - 1}"
    # From now on the new one is what counts.
    assert in_json(guarded.data, "reindex")["entries"] == 44


@pytest.mark.parametrize("moved", [0, 2, 4])
def test_small_noise_is_taken(guarded: Court, moved: int) -> None:
    guarded.table(rotated(moved))
    assert in_json(guarded.data, "reindex")["changes"]["files"]["changed"] == moved


def test_other_sources_are_not_compared(guarded: Court) -> None:
    (guarded.folder / "moved").mkdir()
    other = json_lines(guarded.folder / "moved" / "own.jsonl", rows(rotated(40)))
    assert in_json(guarded.data, "reindex", "--knowledge", other)["changes"]["files"]["changed"] == 40
    assert in_json(guarded.data, "ask", "停车费怎么收？")["candidates"][0]["entry"] == "own:39"


def test_an_entry_that_was_taken_out_is_no_loss(guarded: Court) -> None:
    guarded.table(THINGS[:20])
    assert in_json(guarded.data, "reindex")["changes"]["files"]["withdrawn"] == 20


def test_without_an_exam_about_the_table_nothing_can_be_lost(court: Court) -> None:
    court.table(rotated(40))
    assert in_json(court.data, "reindex")["changes"]["files"]["changed"] == 40


def test_a_damaged_exam_is_named(guarded: Court) -> None:
    json_lines(guarded.data / "golden.jsonl", [*labels()[:1], "{"])
    assert "golden.jsonl 第 2 行" in refusal(command(guarded.data, "reindex"))


@pytest.mark.parametrize(
    ("lost", "gained", "worse"),
    [(0, 0, False), (4, 0, False), (5, 0, True), (0, 50, False), (20, 15, False), (30, 10, True), (10, 30, False), (500, 470, False)],
)
def test_a_loss_is_more_than_chance_gives(lost: int, gained: int, worse: bool) -> None:
    assert Comparison(1_000, 900, 900 - lost + gained, lost, gained).worse is worse


def test_only_questions_about_entries_of_both_are_counted(tmp_path: Path) -> None:
    encoder: Encoder = load_encoder()
    old, new = (
        build(tmp_path / name, [Unit(key, text) for key, text in texts.items()], encoder, {"kind": "entries"})
        for name, texts in (
            ("old", {"a": "货款拖欠", "b": "商标抢注", "c": "员工辞退"}),
            ("new", {"a": "货款拖欠", "b": "员工辞退", "d": "商标抢注"}),
        )
    )
    exam = [("货款拖欠", {"a"}), ("商标抢注", {"b"}), ("员工辞退", {"b", "c"}), ("员工辞退", {"c"}), ("货款", {"x"})]
    assert compare(old, new, encoder, exam, {"a", "b"}) == Comparison(asked=3, before=2, after=2, lost=1, gained=1)
    assert compare(old, new, encoder, exam, set()) == Comparison(0, 0, 0, 0, 0) and not compare(old, new, encoder, [], {"a"}).worse


def test_the_plot_shows_every_tenth_where_it_lies() -> None:
    plot = reliability_plot([(0.0, 0.0, 10), (1.0, 0.5, 1000)])
    assert plot.count("<circle") == 2 and 'cx="40.0" cy="340.0" r="4.0"' in plot and 'cx="340.0" cy="190.0" r="8.0"' in plot
