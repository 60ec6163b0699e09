"""The staff console, told by clerks with browsers: who gets in, what they may do, what it leaves behind."""

import re
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from bot import access
from bot.channels.web_security import COOKIE as CHAT_COOKIE
from bot.channels.web_security import load_signer
from bot.console.board import mask_company
from bot.console.routes import ROUTES
from bot.desk import LONGEST_REPLY
from knowledge import library
from knowledge.court import ROLES
from knowledge.database import row, rows
from knowledge.enterprise import find_or_make_enterprise
from knowledge.entry import Entry
from knowledge.ledger import history
from knowledge.ledger.needs import move
from tests.office import MONDAY, QUESTION, Office, Opening


async def test_link_preview_does_not_spend_the_link_and_it_works_once(office: Office) -> None:
    token = office.link("王敏", "registrar")
    preview, mine, other = office.browser(), office.browser(), office.browser()
    assert "登录" in (await preview.opens(f"/console/enter?token={token}")).text
    page = await mine.opens(f"/console/enter?token={token}")
    assert (await mine.sends("/console/enter", page)).status == 303
    assert "王敏" in (await mine.opens("/console")).text
    again = await other.sends("/console/enter", token=token)
    assert again.status == 400
    assert "已用过或已过期" in again.text


@pytest.mark.parametrize("token", ["", "wrong", "长" * 500, "\ud7ff\0"])
async def test_wrong_token_is_a_clear_page(office: Office, token: str) -> None:
    page = await office.browser().sends("/console/enter", token=token)
    assert page.status == 400
    assert "登录链接" in page.text


async def test_expired_link_and_expired_session(office: Office) -> None:
    token = office.link("王敏", "registrar")
    clerk = await office.clerk("李强", "registrar")
    office.at += timedelta(hours=access.SESSION_HOURS, minutes=1)
    assert (await clerk.opens("/console")).status == 403
    office.at += timedelta(hours=access.LINK_HOURS)
    assert (await office.browser().sends("/console/enter", token=token)).status == 400


async def test_session_cookie_is_strict_and_secure_behind_https(open_office: Opening) -> None:
    office = await open_office(trusted_proxies="127.0.0.1/32")
    plain = await office.browser().sends("/console/enter", token=office.link("一", "admin"))
    browser = office.browser()
    browser.headers = {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "https"}
    secure = await browser.sends("/console/enter", token=office.link("二", "admin"))
    for part in ("HttpOnly", "SameSite=Strict", "Path=/console"):
        assert part in plain.headers["Set-Cookie"]
    assert "Secure" not in plain.headers["Set-Cookie"]
    assert "Secure" in secure.headers["Set-Cookie"]


async def test_signing_in_is_throttled_and_not_done_from_other_sites(office: Office) -> None:
    token = office.link("王敏", "registrar")
    foreign = await office.browser().opens("/console/enter", "POST", data={"token": token}, headers={"Origin": "https://evil.example"})
    assert foreign.status == 403
    statuses = [(await office.browser().sends("/console/enter", token=f"guess{i}")).status for i in range(12)]
    assert statuses[0] == 400
    assert statuses[-1] == 429
    assert (await office.browser().sends("/console/enter", token=token)).status == 429


async def test_signing_in_makes_this_browsers_chat_the_clerks_until_they_leave(office: Office, tmp_path: Path) -> None:
    signer = load_signer(tmp_path)
    chat_id = signer.new_chat()
    clerk = office.browser()
    clerk.headers = {"Cookie": f"{CHAT_COOKIE}={signer.cookie(chat_id)}"}
    entered = await clerk.sends("/console/enter", token=office.link("王敏", "registrar"))
    clerk.headers["Cookie"] += "; " + entered.headers["Set-Cookie"].partition(";")[0]
    assert office.does(lambda db: access.staff_in_chat(db, "web", chat_id, office.at)).name == "王敏"
    page = await clerk.opens("/console")
    assert (await clerk.sends("/console/leave", page)).status == 200
    assert office.does(lambda db: access.staff_in_chat(db, "web", chat_id, office.at)) is None
    assert (await clerk.opens("/console")).status == 403


async def test_forged_chat_cookie_binds_nothing(office: Office) -> None:
    clerk = office.browser()
    clerk.headers = {"Cookie": f"{CHAT_COOKIE}=4503599627370497.{'0' * 64}"}
    assert (await clerk.sends("/console/enter", token=office.link("王敏", "registrar"))).status == 303
    assert office.does(lambda db: rows(db, "SELECT * FROM staff_chats")) == []


ANSWERERS = {"registrar", "handler", "reviewer", "admin"}
EVERYBODY = set(ROLES)
EXPECTED = {
    ("GET", "/enter"): EVERYBODY | {"nobody"},
    ("POST", "/enter"): EVERYBODY | {"nobody"},
    ("GET", "/static/console.css"): EVERYBODY | {"nobody"},
    ("POST", "/leave"): EVERYBODY,
    ("GET", ""): EVERYBODY,
    ("GET", "/"): EVERYBODY,
    ("GET", "/needs"): EVERYBODY,
    ("POST", "/bulk"): {"registrar", "assigner", "admin"},
    ("GET", "/needs/new"): {"registrar", "handler", "admin"},
    ("POST", "/needs/new"): {"registrar", "handler", "admin"},
    ("POST", "/views"): EVERYBODY,
    ("POST", "/views/drop"): EVERYBODY,
    ("GET", "/needs/{no}"): EVERYBODY,
    ("GET", "/needs/{no}/edit"): EVERYBODY - {"supervisor", "auditor"},
    ("POST", "/needs/{no}/edit"): EVERYBODY - {"supervisor", "auditor"},
    ("POST", "/needs/{no}/approve"): {"reviewer"},
    ("POST", "/needs/{no}/assign"): {"assigner"},
    ("POST", "/needs/{no}/step"): EVERYBODY - {"auditor"},
    ("POST", "/needs/{no}/reply"): ANSWERERS,
    ("POST", "/needs/{no}/register"): {"registrar", "assigner", "admin"},
    ("POST", "/needs/{no}/reject"): {"registrar", "assigner", "admin"},
    ("POST", "/needs/{no}/reveal"): ANSWERERS | {"supervisor"},
    ("POST", "/needs/{no}/forget"): {"registrar", "admin"},
    ("GET", "/groups"): EVERYBODY,
    ("POST", "/groups/merge"): {"registrar", "assigner", "handler", "reviewer"},
    ("POST", "/groups/unlike"): {"registrar", "assigner", "handler", "reviewer"},
    ("POST", "/groups/split"): {"registrar", "assigner", "handler", "reviewer"},
    ("POST", "/groups/undo"): {"registrar", "assigner", "handler", "reviewer"},
    ("GET", "/account"): EVERYBODY,
    ("POST", "/account/password"): EVERYBODY,
    ("POST", "/account/sign-out"): EVERYBODY,
    ("GET", "/staff"): {"admin"},
    ("POST", "/staff"): {"admin"},
    ("POST", "/staff/change"): {"admin"},
    ("POST", "/staff/active"): {"admin"},
    ("POST", "/staff/link"): {"admin"},
    ("POST", "/staff/sign-out"): {"admin"},
    ("GET", "/audit"): {"auditor", "admin", "supervisor"},
    ("GET", "/statistics"): EVERYBODY,
    ("GET", "/statistics.csv"): EVERYBODY,
    ("GET", "/export"): EVERYBODY,
    ("POST", "/export"): EVERYBODY,
    ("GET", "/import"): {"registrar", "admin"},
    ("POST", "/import"): {"registrar", "admin"},
    ("POST", "/import/commit"): {"registrar", "admin"},
    ("GET", "/import/empty"): {"registrar", "admin"},
    ("GET", "/directory"): EVERYBODY,
    ("POST", "/directory"): {"admin", "assigner"},
    ("POST", "/directory/commit"): {"admin", "assigner"},
    ("GET", "/directory/empty"): {"admin", "assigner"},
    ("GET", "/enterprises"): EVERYBODY,
    ("GET", "/enterprises/{enterprise}"): EVERYBODY,
    ("POST", "/enterprises"): {"registrar", "admin"},
    ("POST", "/enterprises/{enterprise}"): {"registrar", "admin"},
    ("POST", "/enterprises/{enterprise}/verify"): {"registrar", "handler"},
    ("POST", "/enterprises/{enterprise}/unverify"): {"registrar", "handler"},
    ("POST", "/enterprises/{enterprise}/reveal"): ANSWERERS | {"supervisor"},
    ("GET", "/why"): EVERYBODY,
    ("POST", "/why"): EVERYBODY,
    ("GET", "/entries"): EVERYBODY - {"assigner"},
    ("POST", "/entries"): {"reviewer"},
    ("GET", "/entries/{id}"): EVERYBODY - {"assigner"},
    ("GET", "/entries/{id}/edit"): ANSWERERS,
    ("POST", "/entries/{id}/edit"): ANSWERERS,
    ("POST", "/entries/{id}/submit"): ANSWERERS,
    ("POST", "/entries/{id}/merge"): ANSWERERS,
    ("POST", "/entries/{id}/look"): ANSWERERS,
    ("POST", "/entries/{id}/publish"): {"reviewer"},
    ("POST", "/entries/{id}/return"): {"reviewer"},
    ("POST", "/entries/{id}/stop"): {"reviewer"},
    ("POST", "/needs/{no}/draft"): ANSWERERS,
    ("GET", "/undelivered"): ANSWERERS | {"supervisor"},
    ("POST", "/undelivered"): ANSWERERS | {"supervisor"},
}
"""Written out by hand: who gets past the door of which route. Everything else is 403, 404 or 405 for everybody."""


@pytest.mark.parametrize("role", [*ROLES, "nobody"])
async def test_every_role_against_every_route_and_method(office: Office, role: str) -> None:
    clerk = office.browser() if role == "nobody" else await office.clerk("某人", role)
    office.does(lambda db: library.put_entry(db, "console", draft(7), MONDAY))
    office.does(lambda db: find_or_make_enterprise(db, {"name": "青岛海天餐饮有限公司"}, MONDAY))
    for path in dict.fromkeys(path for _, path in EXPECTED):
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            no = office.need()
            board = await clerk.opens("/console")
            if role != "nobody" and board.status == 403:  # signed out by /leave
                clerk = await office.clerk(f"{role}{no}", role)
                board = await clerk.opens("/console")
            before = len(office.story(no))
            # An all but empty form: whoever is let in gets 400 or 409, and nothing is changed by this test.
            data = {"csrf": board.fields.get("csrf", ""), "member": no} if method == "POST" else None
            page = await clerk.opens(
                "/console" + path.replace("{no}", no).replace("{id}", "notes:7").replace("{enterprise}", "1"), method, data=data
            )
            allowed = EXPECTED.get(("GET" if method == "HEAD" else method, path))
            if allowed is None:
                assert page.status in (404, 405), (method, path)
            elif role not in allowed:
                assert page.status == 403, (method, path)
            else:
                assert page.status not in (403, 404, 405, 500), (method, path)
            if role not in (allowed or ()):
                assert len(office.story(no)) == before


async def test_the_matrix_covers_the_whole_table() -> None:
    assert {(route.method, route.path.replace("{name}", "console.css")) for route in ROUTES} == set(EXPECTED)


async def test_post_without_or_with_wrong_csrf_changes_nothing(office: Office) -> None:
    no, clerk = office.need(), await office.clerk("王敏", "registrar")
    other = await (await office.clerk("李强", "registrar")).opens("/console")
    page = await clerk.opens(f"/console/needs/{no}")
    for csrf in ({"csrf": ""}, {"csrf": "错"}, {"csrf": other.fields["csrf"]}):
        for step in ("reply", "register", "reject", "reveal"):
            refused = await clerk.sends(f"/console/needs/{no}/{step}", page, text="答复", why="理由足够", reason="核实情况", **csrf)
            assert refused.status == 403, step
    fields = {name: value for name, value in page.fields.items() if name != "csrf"}
    assert (await clerk.sends(f"/console/needs/{no}/register", None, **fields)).status == 403
    assert (await clerk.sends("/console/leave")).status == 403
    assert office.story(no) == [("submit", QUESTION)]
    assert office.outbox() == []


OUTSIDE = "203.0.113.9"


@pytest.mark.parametrize("path", ["", "/enter?token=x", "/static/console.css", "/nothing", "/needs/XQ-2026-0001"])
async def test_outside_the_courts_networks_nothing_is_there(open_office: Opening, path: str) -> None:
    office = await open_office(trusted_proxies="127.0.0.1/32", console_networks="10.0.0.0/8")
    browser = office.browser()
    nowhere = await browser.opens("/nowhere", headers={"X-Forwarded-For": OUTSIDE})
    for chain in (OUTSIDE, f"10.0.0.1, {OUTSIDE}", "nonsense", "192.168.1.1"):
        for method in ("GET", "POST"):
            page = await browser.opens(f"/console{path}", method, headers={"X-Forwarded-For": chain})
            assert (page.status, page.text) == (404, nowhere.text)
    assert (await browser.opens("/console/enter?token=x", headers={"X-Forwarded-For": f"{OUTSIDE}, 10.0.0.1"})).status == 200
    assert (await browser.opens("/console/enter?token=x")).status == 200


async def test_a_proxy_nobody_named_does_not_carry_the_world_in(office: Office) -> None:
    browser = office.browser()
    assert (await browser.opens("/console/enter", headers={"X-Forwarded-For": OUTSIDE})).status == 404
    assert (await browser.opens("/console/enter", headers={"X-Forwarded-For": "10.0.0.7"})).status == 200


async def test_headers_of_every_page(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar")
    for path in ("", "/enter?token=x", "/nothing", "/static/console.css", f"/needs/{office.need()}"):
        page = await clerk.opens("/console" + path)
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "unsafe" not in policy
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"<script|\sstyle=|\son\w+=|https?://", page.text.replace("http://www.w3.org/2000/svg", "")), path


async def test_reply_reaches_outbox_and_history(office: Office) -> None:
    no, clerk = office.need(), await office.clerk("王敏", "registrar", "handler")
    page = await clerk.opens(f"/console/needs/{no}")
    sent = await clerk.sends(f"/console/needs/{no}/reply", page, text="第一行\r\n<b>先发律师函</b>")
    assert (sent.status, sent.headers["Location"]) == (303, f"/console/needs/{no}?done=replied")
    assert office.story(no) == [("submit", QUESTION), ("reply", "第一行\n<b>先发律师函</b>")]
    (message,) = office.outbox()
    assert (message["channel"], message["chat_id"], message["need_no"]) == ("web", 7, no)
    assert "王敏（登记员、承办人）" in message["text"]
    assert "&lt;b&gt;" in message["text"]
    shown = await clerk.opens(sent.headers["Location"])
    for expected in ("待送达", "已答复", "王敏", "&lt;b&gt;先发律师函", "提问人下次打开网页时送达"):
        assert expected in shown.text
    assert office.does(history.verify).first_break is None


async def test_delivery_states_are_told_apart(office: Office) -> None:
    no, clerk = office.need(), await office.clerk("王敏", "registrar")
    page = await clerk.opens(f"/console/needs/{no}")
    await clerk.sends(f"/console/needs/{no}/reply", page, text="答复")
    assert '<td class="c-left" data-label="未送达"><b>1</b>' in (await clerk.opens("/console/needs?tab=replied")).text
    office.does(lambda db: db.execute("UPDATE outbox SET state = 'failed', error = '对方已停用 Telegram'"))
    shown = (await clerk.opens(f"/console/needs/{no}")).text
    assert "失败" in shown
    assert "对方已停用 Telegram" in shown
    office.does(lambda db: db.execute("UPDATE outbox SET state = 'delivered', delivered_at = '2026-11-16T10:00:00+08:00'"))
    assert "送达时间 2026-11-16 10:00" in (await clerk.opens(f"/console/needs/{no}")).text


async def test_two_clerks_at_once(office: Office) -> None:
    no = office.need()
    first, second = await office.clerk("王敏", "handler"), await office.clerk("李强", "handler")
    seen_by_both = await first.opens(f"/console/needs/{no}"), await second.opens(f"/console/needs/{no}")
    assert (await first.sends(f"/console/needs/{no}/reply", seen_by_both[0], text="王敏的答复")).status == 303
    conflict = await second.sends(f"/console/needs/{no}/reply", seen_by_both[1], text="李强的 <另一个> 答复")
    assert conflict.status == 409
    assert "王敏的答复" in conflict.text
    assert "李强的 &lt;另一个&gt; 答复</textarea>" in conflict.text
    assert conflict.text.count('<li class="new">') == 1
    assert len(office.outbox()) == 1
    assert [action for action, _ in office.story(no)] == ["submit", "reply"]
    assert (await second.sends(f"/console/needs/{no}/reply", conflict, text="李强看过之后的补充")).status == 303
    assert len(office.outbox()) == 2


async def test_form_without_version_is_not_sent(office: Office) -> None:
    no, clerk = office.need(), await office.clerk("王敏", "registrar")
    csrf = (await clerk.opens("/console")).fields["csrf"]
    for version in ({}, {"version": "x"}, {"version": "-1"}, {"version": "9" * 40}):
        assert (await clerk.sends(f"/console/needs/{no}/reply", None, csrf=csrf, text="答复", **version)).status == 409
    assert office.outbox() == []


async def test_register_and_reject(office: Office) -> None:
    one, two, clerk = office.need(), office.need(chat_id=8), await office.clerk("王敏", "registrar")
    page = await clerk.opens(f"/console/needs/{one}")
    missing = await clerk.sends(f"/console/needs/{one}/register", page, street="中韩街道")
    assert missing.status == 400
    assert "登记前还要填：企业名称、联系人、联系电话、需求类别、涉诉状态。" in missing.text
    filled = {
        "topic": "B01",
        "street": "中韩街道",
        "litigation": "无",
        "company": "青岛海天餐饮有限公司",
        "contact": "赵六",
        "phone": "13987654321",
    }
    assert (await clerk.sends(f"/console/needs/{one}/register", page, **filled)).status == 303
    again = await clerk.sends(f"/console/needs/{one}/register", await clerk.opens(f"/console/needs/{one}"), unknown="1")
    assert again.status == 409
    page = await clerk.opens(f"/console/needs/{two}")
    empty = await clerk.sends(f"/console/needs/{two}/reject", page, why="  ")
    assert (empty.status, "理由" in empty.text) == (400, True)
    long = await clerk.sends(f"/console/needs/{two}/reject", page, why="长" * 501)
    assert (long.status, "长" * 501 in long.text) == (400, True)
    assert (await clerk.sends(f"/console/needs/{two}/reject", page, why="不属于本院管辖")).status == 303
    assert [action for action, _ in office.story(one)] == ["submit", "register"]
    assert [action for action, _ in office.story(two)] == ["submit", "reject"]
    assert [(item["chat_id"], "不属于本院管辖" in item["text"]) for item in office.outbox()] == [(8, True)]


@pytest.mark.parametrize(("text", "status"), [(" \n", 400), ("长" * (LONGEST_REPLY + 1), 400), ("长" * 100_000, 413), ("a" * 100_000, 413)])
async def test_bad_answers_change_nothing(office: Office, text: str, status: int) -> None:
    no, clerk = office.need(), await office.clerk("王敏", "registrar")
    page = await clerk.opens(f"/console/needs/{no}")
    refused = await clerk.sends(f"/console/needs/{no}/reply", page, text=text)
    assert refused.status == status
    assert "4000 字" in refused.text or "空的" in refused.text
    assert office.story(no) == [("submit", QUESTION)]
    assert office.outbox() == []
    if status == 400:
        assert f">{text}</textarea>" in refused.text


async def test_answer_typed_into_an_expired_page_is_given_back(office: Office) -> None:
    no, clerk = office.need(), await office.clerk("王敏", "registrar")
    page = await clerk.opens(f"/console/needs/{no}")
    office.at += timedelta(hours=13)
    data = page.fields | {"text": "写了很久的答复"}
    mine = await clerk.opens(f"/console/needs/{no}/reply", "POST", data=data, headers={"Origin": office.root})
    assert (mine.status, "写了很久的答复</textarea>" in mine.text) == (403, True)
    foreign = await clerk.opens(f"/console/needs/{no}/reply", "POST", data=data, headers={"Origin": "http://evil.example"})
    assert (foreign.status, "写了很久的答复" in foreign.text) == (403, False)


async def test_what_people_type_is_shown_as_text(office: Office) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)> {{ 7*7 }}"
    no, clerk = office.need(attack, company=attack), await office.clerk("<i>王敏", "registrar")
    for path in ("/console", "/console/needs", f"/console/needs/{no}", f"/console/needs?q={'<script>'}"):
        page = await clerk.opens(path)
        assert "&lt;script&gt;" in page.text
        assert "&lt;i&gt;王敏" in page.text
        for raw in ("<script", "<img", "<i>", "49"):
            assert raw not in page.text, path


async def test_contacts_are_masked_until_opened_with_a_reason(office: Office) -> None:
    no = office.need(company="青岛海天餐饮有限公司", contact="赵六", phone="13987654321")
    clerk = await office.clerk("王敏", "registrar")
    board, page = await clerk.opens("/console/needs"), await clerk.opens(f"/console/needs/{no}")
    for shown in (board.text, page.text):
        for secret in ("13987654321", "13812345678", "赵六"):
            assert secret not in shown
    assert "海天餐饮" not in board.text
    assert "139****4321" in page.text
    assert "赵××" in page.text
    for reason in ("", "   ", "看看", "长" * 501):
        refused = await clerk.sends(f"/console/needs/{no}/reveal", page, reason=reason)
        assert (refused.status, "13987654321" in refused.text) == (400, False)
    assert len(office.story(no)) == 1
    opened = await clerk.sends(f"/console/needs/{no}/reveal", page, reason="电话核实合同时间")
    for secret in ("13987654321", "13812345678", "赵六"):
        assert secret in opened.text
    assert office.story(no)[1:] == [("reveal", "电话核实合同时间")]
    again = await clerk.opens(f"/console/needs/{no}")
    assert "13987654321" not in again.text
    assert "查看联系方式" in again.text
    assert office.does(history.verify).first_break is None
    # Somebody else's look is no news about the need: an answer written meanwhile may go out.
    assert (await clerk.sends(f"/console/needs/{no}/reply", page, text="答复")).status == 303


@pytest.mark.parametrize(
    ("role", "steps", "others"),
    [
        ("auditor", [], []),
        ("supervisor", ["urge", "restrict", "unrestrict"], ["reveal"]),
        ("assigner", ["note", "call", "suspend", "restrict"], []),
    ],
)
async def test_who_may_not_act_sees_no_forms(office: Office, role: str, steps: list[str], others: list[str]) -> None:
    clerk, no = await office.clerk("某人", role), office.need()
    text = (await clerk.opens(f"/console/needs/{no}")).text
    # Trying what the bot would answer changes nothing.
    shown = ["/console/leave", "/console/why"] + [f"/console/needs/{no}/{path}" for path in [*["step"] * len(steps), *others]]
    assert sorted(re.findall(r'action="([^"]+)"', text)) == sorted(shown)
    assert re.findall(r'name="action" value="(\w+)"', text) == steps


async def test_who_restricts_a_need_out_of_their_own_sight_comes_back_to_the_list(office: Office) -> None:
    no, clerk = office.need(), await office.clerk("王敏", "registrar")
    page = await clerk.opens(f"/console/needs/{no}")
    done = await clerk.sends(f"/console/needs/{no}/step", page, action="restrict", why="来了很多人", sensitive="群体性")
    assert (done.status, done.headers["Location"]) == (303, "/console/needs?done=stepped")
    assert "已记入办理经过" in (await clerk.opens(done.headers["Location"])).text
    assert (await clerk.opens(f"/console/needs/{no}")).status == 404


async def test_a_clerk_sees_what_the_bot_would_do_and_why(office: Office) -> None:
    clerk = await office.clerk("王敏", "auditor")
    page = await clerk.sends("/console/why", await clerk.opens("/console/why"), question="老板拖欠工子怎么办<b>")
    assert "结果：" in page.text and "拖欠工子 当作 拖欠工资" in page.text and "候选（" in page.text and "<b>王敏</b>" in page.text
    assert "&lt;b&gt;" in page.text and office.does(lambda db: db.execute("SELECT count(*) FROM askings").fetchone()[0]) == 0


async def test_search_takes_signs_literally(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar")
    percent, under, back = office.need("利息按 50% 算吗"), office.need("文件名 a_b 是什么"), office.need(r"路径 c\d 是什么")
    plain = office.need("没有特殊字符 aXb 500")

    async def finds(query: str) -> set[str]:
        text = (await clerk.opens("/console/needs", params={"q": query})).text
        return set(re.findall(r"XQ-\d{4}-\d{4}(?=</a></th>)", text))

    assert await finds("%") == {percent}
    assert await finds("_") == {under}
    assert await finds("\\") == {back}
    assert await finds("利息 50%") == {percent}
    assert await finds(plain[-4:]) == {plain}
    assert await finds(plain.lower()) == {plain}
    assert await finds("是什么") == {under, back}
    assert await finds("'; DROP TABLE needs; --") == set()
    assert await finds("长" * 5000) == set()


async def test_tabs_order_and_pages(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar")
    numbers = [office.need(f"问题 {i}") for i in range(120)]
    text = (await clerk.opens("/console/needs")).text
    assert "待办 <span>120</span>" in text
    assert text.index(numbers[0]) < text.index(numbers[49])
    assert numbers[50] not in text
    assert numbers[119] in (await clerk.opens("/console/needs?order=newest")).text
    last = await clerk.opens("/console/needs?page=3")
    assert numbers[119] in last.text
    for query in ("page=999", "page=3"):
        assert (await clerk.opens(f"/console/needs?{query}")).text.count('<th scope="row">') == 20
    for query in ("page=-1&tab=<x>&order=no", "page=x", "page=99999999999999999999", "tab=replied&page=2"):
        assert (await clerk.opens(f"/console/needs?{query}")).status == 200


async def test_overdue_is_marked(office: Office) -> None:
    no, clerk = office.need(), await office.clerk("王敏", "registrar")
    office.does(lambda db: move(db, no, "register", "staff:1", frozenset({"registrar"}), MONDAY, office.opened.rules))
    assert "没有超期" in (await clerk.opens("/console/needs")).text
    office.at = MONDAY + timedelta(days=9, hours=1)
    clerk = await office.clerk("李强", "registrar")
    assert "没有超期" in (await clerk.opens("/console/needs")).text  # seven working days: due on the 25th
    office.at += timedelta(days=1)
    clerk = await office.clerk("张洋", "registrar")
    assert "超期 <span>2026-11-25</span>" in (await clerk.opens("/console")).text
    assert "超期" in (await clerk.opens(f"/console/needs/{no}")).text


async def test_unknown_pages_and_needs_are_told_in_chinese(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar")
    for path in ("/console/needs/XQ-2026-9999", "/console/nothing", "/console/needs/..%2F..%2Fetc", "/console/static/routes.py"):
        page = await clerk.opens(path)
        assert page.status == 404
        assert "没有找到" in page.text
        assert page.headers["Content-Type"].startswith("text/html")
    csrf = (await clerk.opens("/console")).fields["csrf"]
    assert (await clerk.sends("/console/needs/XQ-2026-9999/reply", None, csrf=csrf, text="答复")).status == 404


def draft(number: int, answer: str = "可以申请支付令。") -> Entry:
    """An entry that waits for review."""
    return Entry(f"notes:{number}", f"第 {number} 个问题？", answer, state="draft")


async def test_a_reviewer_publishes_exactly_what_they_read(office: Office) -> None:
    for number in range(3):
        office.does(partial(library.put_entry, origin="console", entry=draft(number), at=MONDAY))
    reviewer = await office.clerk("陈静", "reviewer")
    page = await reviewer.opens("/console/entries")
    assert "3 条待审核" in page.text
    csrf = page.fields["csrf"]

    def form(number: int, decision: str) -> dict[str, str]:
        found = office.does(lambda db: row(db, "SELECT hash FROM entries WHERE id = ?", f"notes:{number}"))
        return {"csrf": csrf, "entry": f"notes:{number}", "hash": found["hash"], "decision": decision}

    assert (await reviewer.sends("/console/entries", **form(0, "publish"))).status == 303
    assert (await reviewer.sends("/console/entries", **form(1, "withdraw"))).status == 303
    stale = form(2, "publish")
    office.does(lambda db: library.put_entry(db, "console", draft(2, "另一个答案"), MONDAY))
    assert (await reviewer.sends("/console/entries", **stale)).status == 409
    assert (await reviewer.sends("/console/entries", **form(0, "withdraw"))).status == 409
    assert (await reviewer.sends("/console/entries", **form(2, "burn"))).status == 400
    assert (await reviewer.sends("/console/entries", csrf=csrf, entry="no", hash="", decision="publish")).status == 404
    found = office.does(lambda db: rows(db, "SELECT id, state, reviewed_by FROM entries ORDER BY id"))
    assert [(item["state"], item["reviewed_by"]) for item in found] == [("published", "陈静"), ("withdrawn", "陈静"), ("draft", None)]


async def test_admin_reads_drafts_but_sees_no_buttons(office: Office) -> None:
    office.does(lambda db: library.put_entry(db, "console", draft(1), MONDAY))
    text = (await (await office.clerk("周平", "admin")).opens("/console/entries")).text
    assert "第 1 个问题" in text
    assert 'name="decision"' not in text


async def test_demo_watermark_until_the_court_confirms(open_office: Opening, tmp_path: Path) -> None:
    office = await open_office()
    clerk = await office.clerk("王敏", "registrar")
    assert "演示，非法院正式服务" in (await clerk.opens("/console")).text
    (tmp_path / "court.yaml").write_text("court_name: 崂山区人民法院\nconfirmed_by: 办公室 2026-11-01\n", encoding="utf-8")
    confirmed = await open_office()
    text = (await (await confirmed.clerk("李强", "registrar")).opens("/console")).text
    assert "崂山区人民法院" in text
    assert "演示" not in text


@pytest.mark.parametrize(
    ("name", "masked"), [("", ""), (None, ""), ("张三", "张×××"), ("张三小吃店", "张×××"), ("青岛海天餐饮有限公司", "青岛×××公司")]
)
def test_company_names_are_masked(name: str | None, masked: str) -> None:
    assert mask_company(name) == masked
