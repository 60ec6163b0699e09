"""How well this data folder answers, and how sure it may be: `evaluate` measures, `calibrate` sharpens.

Both read files of labelled questions, one JSON object a line: `q`, `expect` (entry ids, best first; empty: nothing should answer),
and if they like `style` or `kind`, and `not` (entries that would mislead), as `tests/golden` has them.
"""

import json
from pathlib import Path

from bot.startup import Opened
from indexing.calibration import JUDGED, Sample, reliability_plot, sharpened
from indexing.confidence import features
from indexing.evaluation import Labelled, Outcome, Report, judge
from indexing.paraphrases import load_own_questions
from knowledge.errors import BadInput
from knowledge.files import read_text


def read_labelled(file: Path) -> list[Labelled]:
    """The labelled questions of a file. Raises BadInput naming the first bad line."""
    labelled = []
    for line, text in enumerate(read_text(file).split("\n"), 1):
        if not text.strip():
            continue
        try:
            fields = json.loads(text)
            expect, wrong = fields.get("expect", fields.get("may")), fields.get("not", [])
            if not isinstance(expect, list) or not isinstance(wrong, list):
                raise TypeError("expect")
            style = str(fields.get("style") or fields.get("kind") or "")
            labelled.append(Labelled(str(fields["q"]), tuple(map(str, expect)), style, "", tuple(map(str, wrong))))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadInput(f'{file.name} 第 {line} 行看不懂，应为 {{"q":…,"expect":[…]}}。') from error
    if not labelled:
        raise BadInput(f"{file.name} 里没有问题。")
    return labelled


def exam(opened: Opened) -> list[tuple[str, frozenset[str]]]:
    """What guards a rebuilt index: questions about the shipped entries, and the court's own `golden.jsonl` in the data folder."""
    shipped = [(line.text, line.right) for line in load_own_questions()]
    own = opened.folders.data / "golden.jsonl"
    if not own.exists():
        return shipped
    return shipped + [(label.question, frozenset(label.expect)) for label in read_labelled(own) if label.expect]


def evaluate(opened: Opened, file: Path) -> Report:
    """Quality by band, style and topic, and speed, on labelled questions. Raises BadInput naming the first bad line."""
    labelled = read_labelled(file)
    answering = opened.answering
    topics = answering.topics_of([entry for label in labelled for entry in (*label.expect, *label.wrong)[:1]])
    named = [
        Labelled(
            label.question,
            label.expect,
            label.style,
            next((topics[e] for e in (*label.expect, *label.wrong)[:1] if e in topics), ""),
            label.wrong,
        )
        for label in labelled
    ]

    def outcome(question: str) -> Outcome:
        verdict = answering.reply_to(question, k=10)
        offers = tuple(c.published.entry.id for c in verdict.offers)
        return Outcome(verdict.band, tuple(c.published.entry.id for c in verdict.candidates), offers, verdict.milliseconds)

    return judge(named, outcome)


def calibrate(opened: Opened, file: Path, promised: float) -> list[str]:
    """Fit the bands to this library and write them into the data folder; returns what they rest on, in Chinese.

    Raises BadInput, and changes nothing, when the questions cannot carry the promise.
    """
    answering = opened.answering
    samples: list[Sample] = []
    known, labelled = 0, False
    for label in read_labelled(file):
        labelled = labelled or bool(label.expect)
        judged, query = answering.judged(label.question)
        right = set(label.expect)
        known += bool(right & set(answering.topics_of(label.expect)))
        samples += [
            Sample(
                "own",
                label.expect[0] if label.expect else label.question,
                i == 0,
                features(judged, i, len(query.terms)),
                item.key in right,
                bool(item.differences.forbidding),
            )
            for i, item in enumerate(judged[:JUDGED])
        ]
    if labelled and not known:
        raise BadInput(f"{file.name} 里写的条目编号，现在的知识库里一个也没有。没有改动。请先导入这些条目，再校准。")
    found = sharpened(opened.calibration, samples, promised)
    path = opened.folders.data / "calibration.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(found.content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
    plot = path.with_name("reliability.svg")
    plot.write_text(reliability_plot(found.content["evidence"]["reliability"]), encoding="utf-8")
    return [
        *found.lines,
        f"已写入 {path.name} 和 {plot.name}（把握与实际正确率的对照图），运行中的机器人重新启动后使用。删除它即恢复自带校准。",
    ]
