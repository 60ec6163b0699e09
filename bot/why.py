"""Why the bot did what it did with a question, in lines for people: the same for the terminal, the console and staff in the chat.

What was understood (words, slips put right, terms added), every candidate with its scores and what sets the question apart from
it, the band, and the reason in one sentence.
"""

from bot.answering import Candidate, Verdict

BAND_NAMES = {"answer": "直接答复", "offer": "列出选项", "need": "登记需求", "conversation": "对话", "refused": "不受理"}


def why_lines(verdict: Verdict) -> list[str]:
    """The whole account of one verdict."""
    query = verdict.query
    lines = [f"结果：{BAND_NAMES[verdict.band]}。{'；'.join(verdict.reasons)}"]
    lines += [f"搜索的文字：{query.text}", f"切出的词：{' '.join(query.terms)}"]
    lines += [f"改正的错字：{'；'.join(map(str, query.corrections))}"] if query.corrections else []
    lines += [f"同义词表补充：{'；'.join(map(str, query.expansions))}"] if query.expansions else []
    lines += ["候选（把握｜相似度｜词面｜覆盖｜领先）："]
    for number, candidate in enumerate(verdict.candidates):
        lines += _candidate_lines(candidate, verdict.candidates[number + 1 :])
    return [*lines, f"用时 {verdict.milliseconds:.1f} 毫秒"]


def _candidate_lines(candidate: Candidate, behind: tuple[Candidate, ...]) -> list[str]:
    hit, differences = candidate.hit, candidate.differences
    ahead = f"{hit.score - max(other.hit.score for other in behind):+.3f}" if behind else "—"
    scores = f"{candidate.confidence:.3f}｜{hit.cosine:.3f}｜{hit.lexical:.2f}｜{hit.coverage:.2f}｜{ahead}"
    entry = candidate.published.entry
    lines = [f"  {scores}　{entry.id} {entry.question}", f"      由这句找到：{entry.closest(candidate.wording)}"]
    if hit.against is not None and hit.against > hit.cosine:
        lines.append(f"      更像不适用的问法（{hit.against:.3f}）")
    if differences.forbidding:
        lines.append(f"      不能直接答：{'；'.join(differences.forbidding)}")
    weighed = [reason for reason in differences.reasons if reason not in differences.forbidding]
    return lines + ([f"      不同之处：{'；'.join(weighed)}"] if weighed else [])
