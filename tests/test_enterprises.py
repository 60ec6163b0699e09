"""Enterprises: which two names are one, who may speak for one, and what their pages show to whom."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.access import add_staff
from knowledge import enterprise
from knowledge.clock import stamp
from knowledge.database import Database, Db, rows
from knowledge.enterprise import (
    asker_in,
    contacts_of,
    enterprise_of,
    find_enterprise,
    find_or_make_enterprise,
    needs_of_enterprise,
    set_enterprise,
    set_profile,
    unverify_contact,
    verify_contact,
)
from knowledge.errors import BadInput, Conflict, NotFound
from tests.office import MONDAY, Office
from tests.test_directory import HEADER, csv_text, uploads

NAME = "青岛样例（集团）有限公司"
CODE, OTHER_CODE = "91370212MA00000A9L", "913702127180000188"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "ledger.db", "NORMAL")
    opened.write(lambda db: add_staff(db, "王敏", ["registrar"], MONDAY)).result()
    yield opened
    opened.close()


def makes(database: Database, **fields: str | None) -> int:
    return database.write(lambda db: find_or_make_enterprise(db, fields, MONDAY)).result()


def known(database: Database) -> list[dict[str, Any]]:
    return database.read(lambda db: rows(db, "SELECT * FROM enterprises ORDER BY id")).result()


def person(database: Database, chat_id: int = 1, **profile: str) -> int:
    def make(db: Db) -> int:
        number = asker_in(db, "web", chat_id, MONDAY).person_id
        for name, value in profile.items():
            set_profile(db, number, name, value, MONDAY)
        return number

    return database.write(make).result()


# --- one enterprise or two ------------------------------------------------------------------------------------------------


def test_the_code_decides_then_the_name(database: Database) -> None:
    first = makes(database, name=NAME)
    assert makes(database, name=" 青岛样例 (集团)有限公司") == first
    assert makes(database, name="青岛样例(集团)有限公司", uscc=" 91370212-ma00000a9l ", street="中韩街道") == first
    assert makes(database, name="改了的名字有限公司", uscc=CODE) == first
    assert makes(database, uscc=CODE) == first
    (only,) = known(database)
    assert (only["name"], only["uscc"], only["street"]) == ("青岛样例(集团)有限公司", CODE, "中韩街道")


def test_what_is_known_stays_and_what_is_missing_is_filled_in(database: Database) -> None:
    makes(database, name=NAME, industry="制造业", uscc="")
    makes(database, name=NAME, industry="教育", ent_size="小")
    (only,) = known(database)
    assert (only["industry"], only["ent_size"], only["uscc"]) == ("制造业", "小", None)


def test_two_codes_are_never_one_enterprise(database: Database) -> None:
    makes(database, name=NAME, uscc=CODE)
    with pytest.raises(Conflict, match="统一社会信用代码不同"):
        makes(database, name=NAME, uscc=OTHER_CODE)
    other = makes(database, name="别家有限公司", uscc=OTHER_CODE)
    with pytest.raises(Conflict):
        database.write(lambda db: set_enterprise(db, other, {"uscc": CODE}, MONDAY)).result()
    with pytest.raises(Conflict):
        database.write(lambda db: set_enterprise(db, other, {"name": " 青岛样例（集团） 有限公司"}, MONDAY)).result()
    assert [(item["name"], item["uscc"]) for item in known(database)] == [("青岛样例(集团)有限公司", CODE), ("别家有限公司", OTHER_CODE)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "请填企业名称"),
        ({"name": "  "}, "请填企业名称"),
        ({"name": "厂"}, "太短"),
        ({"name": "长" * 101}, "101 字"),
        ({"name": NAME, "chain": "长" * 100_000}, "100000 字"),
        ({"name": NAME, "ent_type": "特大"}, "企业类型没有“特大”"),
    ],
)
def test_fields_that_cannot_be_make_no_enterprise(database: Database, fields: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        makes(database, **fields)
    assert known(database) == []


def test_a_code_that_looks_wrong_is_kept(database: Database) -> None:
    makes(database, name=NAME, uscc="91370212MA00000A9X")
    assert known(database)[0]["uscc"] == "91370212MA00000A9X"


def test_set_changes_only_what_is_new(database: Database) -> None:
    number = makes(database, name=NAME, uscc=CODE, street="中韩街道")
    changed = database.write(
        lambda db: set_enterprise(db, number, {"name": NAME, "uscc": CODE, "street": "", "chain": "机床"}, MONDAY)
    ).result()
    assert changed == ["street", "chain"]
    assert database.read(lambda db: find_enterprise(db, number)).result()["street"] is None
    with pytest.raises(BadInput, match="不能空着"):
        database.write(lambda db: set_enterprise(db, number, {"name": ""}, MONDAY)).result()
    with pytest.raises(NotFound):
        database.write(lambda db: set_enterprise(db, 99, {"name": NAME}, MONDAY)).result()


# --- who speaks for it ----------------------------------------------------------------------------------------------------


def test_a_claim_opens_nothing_until_staff_have_checked(database: Database) -> None:
    number = makes(database, name=NAME, uscc=CODE)
    mine, by_code = person(database, 1, company="青岛样例(集团) 有限公司"), person(database, 2, uscc=CODE)
    person(database, 3, company="别家有限公司")
    found = database.read(lambda db: contacts_of(db, number)).result()
    assert [(item["id"], item["verified"]) for item in found] == [(mine, 0), (by_code, 0)]
    assert database.read(lambda db: enterprise_of(db, mine)).result() is None
    database.write(lambda db: verify_contact(db, mine, number, 1, MONDAY)).result()
    assert database.read(lambda db: enterprise_of(db, mine)).result() == number
    assert database.read(lambda db: contacts_of(db, number)).result()[0]["verified_by"] == "王敏"
    with pytest.raises(Conflict, match="已经核对过"):
        database.write(lambda db: verify_contact(db, mine, number, 1, MONDAY)).result()
    database.write(lambda db: unverify_contact(db, mine, MONDAY)).result()
    assert database.read(lambda db: enterprise_of(db, mine)).result() is None
    with pytest.raises(NotFound):
        database.write(lambda db: unverify_contact(db, mine, MONDAY)).result()
    with pytest.raises(NotFound):
        database.write(lambda db: verify_contact(db, 99, number, 1, MONDAY)).result()
    with pytest.raises(NotFound):
        database.write(lambda db: verify_contact(db, mine, 99, 1, MONDAY)).result()


def test_forgetting_ends_the_check_as_well(database: Database) -> None:
    number = makes(database, name=NAME)
    mine = person(database, 1, company=NAME, phone="13800138000")
    database.write(lambda db: verify_contact(db, mine, number, 1, MONDAY)).result()
    database.write(lambda db: enterprise.forget(db, mine, MONDAY)).result()
    (left,) = database.read(lambda db: rows(db, "SELECT * FROM persons WHERE id = ?", mine)).result()
    assert {left[name] for name in ("company", "phone", "enterprise_id", "verified_at", "verified_by")} == {None}
    assert database.read(lambda db: contacts_of(db, number)).result() == []


def test_the_enterprises_view_has_its_verified_contacts_needs_and_nothing_restricted(office: Office) -> None:
    mine, hers = office.need("货款怎么要？请告诉我", 1, company=NAME), office.need("合同怎么解除呢？", 2, company=NAME)
    office.need("别人自称的问题一二三", 3, company=NAME)
    secret = office.need("我要上访，投诉有人", 4, company=NAME)

    def check(db: Db) -> int:
        number = find_or_make_enterprise(db, {"name": NAME}, MONDAY)
        add_staff(db, "王敏", ["registrar"], MONDAY)
        for chat_id in (1, 2, 4):
            verify_contact(db, asker_in(db, "web", chat_id, MONDAY).person_id, number, 1, MONDAY)
        db.execute("UPDATE needs SET visibility = '专班' WHERE no = ?", [secret])
        return number

    number = office.does(check)
    found = office.does(lambda db: needs_of_enterprise(db, number, 10))
    assert [(item["no"], item["question"]) for item in found] == [(hers, "合同怎么解除呢？"), (mine, "货款怎么要？请告诉我")]
    assert [item["no"] for item in office.does(lambda db: needs_of_enterprise(db, number, 1))] == [hers]


# --- pages ----------------------------------------------------------------------------------------------------------------


def made(office: Office, **fields: str) -> int:
    return int(office.does(lambda db: find_or_make_enterprise(db, {"name": NAME} | fields, office.at)))


def audit(office: Office) -> list[tuple[str, str, str, str]]:
    found = office.does(lambda db: rows(db, "SELECT * FROM audit WHERE action NOT LIKE 's%' AND action <> 'link_made' ORDER BY id"))
    return [(item["actor"], item["action"], item["subject"], item["note"]) for item in found]


async def test_list_finds_two_character_words_names_and_codes(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar")
    made(office, uscc=CODE, street="中韩街道")
    made(office, name="崂山茶业有限公司", street="北宅街道")
    made(office, name="100%茶_馆有限公司")

    async def finds(**query: str) -> set[str]:
        text = (await clerk.opens("/console/enterprises", params=query)).text
        return {short for short in ("样例", "茶业", "茶_馆") if f"{short}" in text.partition("<tbody>")[2].partition("</tbody>")[0]}

    assert await finds() == {"样例", "茶业", "茶_馆"}
    assert await finds(q="茶业") == {"茶业"}
    assert await finds(q="（集团）") == {"样例"}
    assert await finds(q="ma00000a9l") == {"样例"}
    assert await finds(q="崂山 茶业") == {"茶业"}
    assert await finds(q="%") == await finds(q="_") == {"茶_馆"}
    assert await finds(street="北宅街道") == {"茶业"}
    assert await finds(q="样例", street="北宅街道") == set()
    assert await finds(q="'; DROP TABLE enterprises; --") == await finds(q="长" * 5000) == set()


async def test_pages_of_fifty(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar")
    office.does(lambda db: [find_or_make_enterprise(db, {"name": f"第{number:03}号有限公司"}, office.at) for number in range(120)])
    first, last = await clerk.opens("/console/enterprises"), await clerk.opens("/console/enterprises?page=99")
    assert (first.text.count('<th scope="row">'), last.text.count('<th scope="row">')) == (50, 20)
    assert "第 3 页，共 3 页" in last.text
    for odd in ("page=-1", "page=x", "page=99999999999999999999", "street=没有"):
        assert (await clerk.opens(f"/console/enterprises?{odd}")).status == 200


async def test_persons_businesses_are_masked_for_who_may_not_see_contacts(office: Office) -> None:
    shop = made(office, name="张三丰小吃店")
    made(office, name="李四海商行", uscc="92370212MAC123455Q")
    made(office, name="王五福有限公司", ent_type="个体")
    made(office, name="样例合作社", ent_type="合作社")
    for role in ("registrar", "handler", "reviewer", "admin", "assigner", "supervisor", "auditor"):
        clerk = await office.clerk(f"某{role}", role)
        shown = (await clerk.opens("/console/enterprises")).text + (await clerk.opens(f"/console/enterprises/{shop}")).text
        full = role in ("registrar", "handler", "reviewer", "admin", "supervisor")
        for name in ("张三丰", "李四海", "王五福"):
            assert (name in shown) == full, (role, name)
        assert "样例合作社" in shown


async def test_a_record_is_made_once_and_edited(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar")
    office.need(company="自报名称有限公司", contact="赵六")
    page = await clerk.opens("/console/enterprises")
    assert "自报名称有限公司" in page.text
    first = await clerk.sends("/console/enterprises", page, name="自报名称有限公司", uscc="")
    assert first.headers["Location"] == "/console/enterprises/1?done=made"
    again = await clerk.sends("/console/enterprises", page, name=" 自报名称有限公司 ", uscc="")
    assert again.headers["Location"] == "/console/enterprises/1?done=known"
    refused = await clerk.sends("/console/enterprises", page, name=" ", uscc="x")
    assert (refused.status, "请填企业名称" in refused.text) == (400, True)
    seen = await clerk.opens("/console/enterprises/1")
    saved = await clerk.sends(
        "/console/enterprises/1", seen, name="自报名称有限公司", uscc="91370212MA00000A9X", street="中韩街道", ent_type="民营"
    )
    assert saved.headers["Location"] == "/console/enterprises/1?done=edited"
    now = await clerk.opens("/console/enterprises/1")
    assert "校验位对不上" in now.text
    # A second clerk who still has the old page open is told, and loses nothing of what was typed.
    stale = await clerk.sends("/console/enterprises/1", seen, name="自报名称有限公司", chain="<b>机床</b>")
    assert stale.status == 409
    assert "别人改过这份档案" in stale.text and "&lt;b&gt;机床&lt;/b&gt;" in stale.text and "<b>机床" not in stale.text
    for wrong in ({"street": "没有街道"}, {"industry": "没有"}, {"ent_size": "巨"}, {"name": ""}, {"chain": "长" * 101}):
        assert (await clerk.sends("/console/enterprises/1", now, **{"name": "自报名称有限公司"} | wrong)).status == 400, wrong
    assert [(action, note) for _, action, _, note in audit(office)] == [
        ("make_enterprise", ""),
        ("edit_enterprise", "改了：统一社会信用代码、企业类型、所属街道/园区"),
    ]
    assert (await clerk.opens("/console/enterprises/99")).status == 404
    assert (await clerk.opens("/console/enterprises/x")).status == 404


async def test_checking_a_contact_and_taking_it_back(office: Office) -> None:
    no = office.need("货款 13800138000 怎么要回来？", company=NAME, contact="赵六", phone="13987654321")
    number = made(office)
    stranger = office.does(lambda db: asker_in(db, "web", 99, office.at).person_id)
    clerk = await office.clerk("王敏", "handler")
    page = await clerk.opens(f"/console/enterprises/{number}")
    for shown in ("自称是本企业的（1）", "赵××", "139****4321", no, "身份未核对", "一共问过 <b>0</b> 次"):
        assert shown in page.text, shown
    for secret in ("13987654321", "赵六", "13800138000"):
        assert secret not in page.text
    refused = await clerk.sends(f"/console/enterprises/{number}/verify", page, how="猜的")
    assert (refused.status, "电话核对、营业执照、当面" in refused.text) == (400, True)
    assert (await clerk.sends(f"/console/enterprises/{number}/verify", page, how="当面", person=str(stranger))).status == 409
    done = await clerk.sends(f"/console/enterprises/{number}/verify", page, how="电话核对")
    assert done.headers["Location"].endswith("done=verified")
    now = await clerk.opens(done.headers["Location"])
    for shown in ("已核对的联系人（1）", "由 王敏 核对", "一共问过 <b>1</b> 次", "同本企业"):
        assert shown in now.text, shown
    assert "自称是" not in now.text
    assert (await clerk.sends(f"/console/enterprises/{number}/verify", page, how="当面")).status == 409
    listed = (await clerk.opens("/console/enterprises")).text
    assert '<td data-label="需求" class="many">1</td>' in listed and '<td data-label="已核对" class="many">1</td>' in listed
    office.does(lambda db: set_profile(db, 1, "company", "跳槽有限公司", office.at))
    assert "自报的企业名称不同" in (await clerk.opens(f"/console/enterprises/{number}")).text
    for reason in ("", "走了", "长" * 501):
        assert (await clerk.sends(f"/console/enterprises/{number}/unverify", now, reason=reason)).status == 400
    assert (await clerk.sends(f"/console/enterprises/{number}/unverify", now, reason="已经离职不在了")).status == 303
    assert (await clerk.sends(f"/console/enterprises/{number}/unverify", now, reason="已经离职不在了")).status == 409
    me = audit(office)[0][0]
    subject = f"enterprise:{number} person:1"
    assert audit(office) == [(me, "verify_contact", subject, "电话核对"), (me, "unverify_contact", subject, "已经离职不在了")]


async def test_contacts_open_with_a_reason_that_the_audit_keeps(office: Office) -> None:
    office.need(company=NAME, contact="赵六", phone="13987654321")
    number = made(office)
    clerk = await office.clerk("王敏", "reviewer")
    page = await clerk.opens(f"/console/enterprises/{number}")
    for reason in ("", "看看", " " * 9, "长" * 501):
        refused = await clerk.sends(f"/console/enterprises/{number}/reveal", page, reason=reason)
        assert (refused.status, "13987654321" in refused.text) == (400, False)
    assert audit(office) == []
    opened = await clerk.sends(f"/console/enterprises/{number}/reveal", page, reason="电话核对身份")
    assert "13987654321" in opened.text and "赵六" in opened.text
    assert [(action, note) for _, action, _, note in audit(office)] == [("reveal_contacts", "电话核对身份")]
    assert "13987654321" not in (await clerk.opens(f"/console/enterprises/{number}")).text
    assert (await clerk.sends("/console/enterprises/99/reveal", page, reason="电话核对身份")).status == 404


async def test_restricted_needs_are_neither_shown_nor_counted(office: Office) -> None:
    open_no, secret = office.need("货款怎么要？请告诉我", 1, company=NAME), office.need("某件要保密的事情", 1, company=NAME)

    def check(db: Db) -> int:
        number = find_or_make_enterprise(db, {"name": NAME}, MONDAY)
        add_staff(db, "核对人", ["registrar"], MONDAY)
        verify_contact(db, 1, number, 1, MONDAY)
        db.execute("UPDATE needs SET visibility = '专班', sensitive = '信访' WHERE no = ?", [secret])
        return number

    number = office.does(check)
    clerk, supervisor = await office.clerk("王敏", "registrar"), await office.clerk("吴督", "supervisor")
    mine, theirs = (
        (await clerk.opens(f"/console/enterprises/{number}")).text,
        (await supervisor.opens(f"/console/enterprises/{number}")).text,
    )
    assert open_no in mine and secret not in mine and "1 件" in mine and "问过 <b>1</b> 次" in mine
    assert secret in theirs and "2 件" in theirs and "问过 <b>2</b> 次" in theirs
    assert 'class="many">1</td>' in (await clerk.opens("/console/enterprises")).text
    assert '<td data-label="需求" class="many">2</td>' in (await supervisor.opens("/console/enterprises")).text


async def test_key_enterprise_and_street_come_from_the_directory(office: Office) -> None:
    admin = await office.clerk("周平", "admin")
    table = (HEADER, ("重点企业", NAME, "", "丙院长", "", "", ""), ("街道", "中韩街道", "", "乙庭长", "", "", ""))
    number = made(office, street="中韩街道")
    assert "重点企业" not in (await admin.opens(f"/console/enterprises/{number}")).text
    await admin.sends("/console/directory/commit", await uploads(admin, csv_text(table)))
    page = (await admin.opens(f"/console/enterprises/{number}")).text
    assert "重点企业 · 包联领导 丙院长" in page and "中韩街道包联庭长 乙庭长" in page


ALLOWED = {
    ("GET", ""): {"registrar", "assigner", "handler", "reviewer", "supervisor", "admin", "auditor"},
    ("POST", ""): {"registrar", "admin"},
    ("GET", "/1"): {"registrar", "assigner", "handler", "reviewer", "supervisor", "admin", "auditor"},
    ("POST", "/1"): {"registrar", "admin"},
    ("POST", "/1/verify"): {"registrar", "handler"},
    ("POST", "/1/unverify"): {"registrar", "handler"},
    ("POST", "/1/reveal"): {"registrar", "handler", "reviewer", "supervisor", "admin"},
}


@pytest.mark.parametrize("role", ["registrar", "assigner", "handler", "reviewer", "supervisor", "admin", "auditor", "nobody"])
async def test_every_role_against_every_page(office: Office, role: str) -> None:
    made(office)
    clerk = office.browser() if role == "nobody" else await office.clerk("某人", role)
    csrf = (await clerk.opens("/console/why")).fields.get("csrf", "")
    for (method, path), roles in ALLOWED.items():
        page = await clerk.opens(f"/console/enterprises{path}", method, data={"csrf": csrf} if method == "POST" else None)
        assert (page.status == 403) == (role not in roles), (method, path)
        if role in roles:
            assert page.status in ({200} if method == "GET" else {400, 409}), (method, path, page.status)
        if method == "POST" and role in roles:
            assert (await clerk.opens(f"/console/enterprises{path}", "POST", data={"csrf": "x"})).status == 403
    assert audit(office) == []


async def test_ten_thousand_enterprises_are_found_quickly(office: Office) -> None:
    def many(db: Db) -> None:
        at = stamp(office.at - timedelta(days=1))
        values = [(f"第{number:05}号样例有限公司", at, at) for number in range(10_000)]
        db.conn.executemany("INSERT INTO enterprises (name, created_at, updated_at) VALUES (?, ?, ?)", values)
        db.conn.executemany("INSERT INTO persons (company, created_at, updated_at) VALUES (?, ?, ?)", values)

    office.does(many)
    clerk = await office.clerk("王敏", "registrar")
    for path in ("", "?q=07777", "?page=150", "/5000"):
        began = time.perf_counter()
        assert (await clerk.opens(f"/console/enterprises{path}")).status == 200
        # Far from the real figure (some 30 ms); what this catches is a search that grows with the square.
        assert time.perf_counter() - began < 1, path
