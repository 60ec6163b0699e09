"""Who gets in, told by browsers: passwords, guessing, open sessions, the staff page and what the audit keeps of it."""

import itertools
import re
from collections.abc import Sequence
from datetime import timedelta
from time import perf_counter
from typing import Any

import pytest
from argon2 import PasswordHasher

from bot import access, passwords
from bot.channels.web_security import COOKIE as CHAT_COOKIE
from bot.channels.web_security import load_signer
from bot.console.door import browser_name
from knowledge.clock import stamp
from knowledge.court import ROLES
from knowledge.database import Db, row, rows
from knowledge.errors import BadInput
from knowledge.ledger import history
from tests.conftest import Running
from tests.office import MONDAY, Clerk, Office, Opening, Page
from tests.visitors import TelegramVisitor

ADDRESSES = itertools.count()
PASSWORD = "崂山的海水很蓝，八月最好"
OTHER = "correct horse battery staple"


@pytest.fixture
async def office(open_office: Opening) -> Office:
    """A console behind a proxy, so that browsers can come from many addresses."""
    return await open_office(trusted_proxies="127.0.0.1/32", console_url="https://yqt.example.cn")


def browser_elsewhere(office: Office, agent: str = "") -> Clerk:
    """A browser at an address nobody has used yet."""
    browser, number = office.browser(), next(ADDRESSES)
    browser.headers = {"X-Forwarded-For": f"10.0.{number // 250}.{number % 250 + 1}"} | ({"User-Agent": agent} if agent else {})
    return browser


async def sets(clerk: Clerk, password: str, again: str | None = None, old: str = "") -> Page:
    """Set one's password on the account page."""
    page = await clerk.opens("/console/account")
    return await clerk.sends("/console/account/password", page, old=old, password=password, again=password if again is None else again)


async def enters(office: Office, name: str, password: str) -> tuple[Clerk, Page]:
    """A new browser that signs in by name and password."""
    browser = browser_elsewhere(office)
    return browser, await browser.sends("/console/enter", name=name, password=password)


async def with_password(office: Office, name: str, *roles: str) -> Clerk:
    """Somebody new who came by link and set a password."""
    browser = await office.clerk(name, *roles)
    assert (await sets(browser, PASSWORD)).status == 303
    return browser


def staff_id(office: Office, name: str) -> int:
    """The number of a person."""
    return int(office.does(lambda db: row(db, "SELECT id FROM staff WHERE name = ?", name))["id"])


def audit(office: Office) -> list[tuple[str, str, str]]:
    """Who did what to whom."""
    found = office.does(lambda db: rows(db, "SELECT actor, action, subject FROM audit ORDER BY id"))
    return [(item["actor"], item["action"], item["subject"]) for item in found]


async def on_person(admin: Clerk, office: Office, name: str, step: str, **typed: str) -> Page:
    """Do something with a person on the staff page."""
    page = await admin.opens("/console/staff")
    return await admin.sends(f"/console/staff/{step}", None, csrf=page.fields["csrf"], person=str(staff_id(office, name)), **typed)


# --- passwords ------------------------------------------------------------------------------------------------------------


async def test_a_person_sets_a_password_and_enters_with_it(office: Office) -> None:
    await with_password(office, "王敏", "registrar")
    browser, entered = await enters(office, " 王敏 ", PASSWORD)
    assert (entered.status, entered.headers["Location"]) == (303, "/console")
    assert "王敏" in (await browser.opens("/console")).text
    kept = office.does(lambda db: row(db, "SELECT password_hash FROM staff"))["password_hash"]
    assert kept.startswith("$argon2id$") and PASSWORD not in kept


async def test_wrong_password_unknown_name_and_no_password_look_the_same(office: Office) -> None:
    await with_password(office, "王敏", "registrar")
    office.link("李强", "registrar")
    gone = await with_password(office, "张洋", "registrar")
    office.does(lambda db: db.execute("UPDATE staff SET active = 0 WHERE name = '张洋'"))
    pages = {}
    for name, password in (("王敏", OTHER), ("无名氏", OTHER), ("李强", OTHER), ("李强", ""), ("张洋", PASSWORD), ("王敏", "长" * 2000)):
        _, page = await enters(office, name, password)
        pages[name, password] = (page.status, page.text.replace(name, "某人"))
        assert "Set-Cookie" not in page.headers
    assert len(set(pages.values())) == 1
    assert pages["王敏", OTHER][0] == 400 and "姓名或密码不对" in pages["王敏", OTHER][1]
    assert (await gone.opens("/console")).status == 403


def test_an_unknown_name_costs_as_much_as_a_wrong_password() -> None:
    kept = passwords.hash_password(PASSWORD)
    took: dict[str | None, list[float]] = {kept: [], None: []}
    for hashed in (kept, None) * 4:
        began = perf_counter()
        assert not passwords.is_password(hashed, OTHER)
        took[hashed].append(perf_counter() - began)
    # The hash takes a thousand times as long as all else: half or double would be no hash, or two. The fastest is the least disturbed.
    assert 0.5 < min(took[None]) / min(took[kept]) < 2


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("", "10 到 128"),
        ("九个字的密码不够长", "10 到 128"),
        ("长" * 129, "10 到 128"),
        ("哈" * 10, "同一个字符"),
        ("Wang Min Registrar", "姓名"),
    ],
)
async def test_poor_passwords_are_refused_with_a_reason(office: Office, password: str, said: str) -> None:
    clerk = await office.clerk("wang min registrar", "registrar")
    refused = await sets(clerk, password)
    assert refused.status == 400 and said in refused.text
    assert office.does(lambda db: row(db, "SELECT password_hash AS p FROM staff"))["p"] is None


@pytest.mark.parametrize("password", ["十个字的密码刚刚够长", "长短" * 64])
def test_the_limits_themselves_are_allowed(password: str) -> None:
    passwords.check_password(password, "王敏")
    with pytest.raises(BadInput):
        passwords.check_password((password + "字") if len(password) == 128 else password[:-1], "王敏")


async def test_changing_a_password_takes_the_old_one_and_ends_the_other_browsers(office: Office) -> None:
    first = await with_password(office, "王敏", "registrar")
    second, _ = await enters(office, "王敏", PASSWORD)
    assert (await sets(first, OTHER, again="打错了的另一句话而已", old=PASSWORD)).status == 400
    wrong = await sets(first, OTHER, old="不是原来的密码啊啊")
    assert wrong.status == 400 and "原密码不对" in wrong.text
    assert (await second.opens("/console")).status == 200
    changed = await sets(first, OTHER, old=PASSWORD)
    assert changed.headers["Location"] == "/console/account?done=password"
    assert (await first.opens("/console")).status == 200
    assert (await second.opens("/console")).status == 403
    assert (await enters(office, "王敏", PASSWORD))[1].status == 400
    assert (await enters(office, "王敏", OTHER))[1].status == 303


async def test_the_old_password_cannot_be_guessed_in_an_open_browser(office: Office) -> None:
    clerk = await with_password(office, "王敏", "registrar")
    for number in range(passwords.GUESSES):
        assert "原密码不对" in (await sets(clerk, OTHER, old=f"猜猜看的密码 {number}")).text
    assert "请等 15 分钟" in (await sets(clerk, OTHER, old=PASSWORD)).text
    office.at += passwords.WAIT
    assert (await sets(clerk, OTHER, old=PASSWORD)).status == 303


async def test_a_hash_of_other_strength_is_made_anew_at_the_next_sign_in(office: Office) -> None:
    office.link("王敏", "registrar")
    weak = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    office.does(lambda db: db.execute("UPDATE staff SET password_hash = ?", [weak]))
    assert (await enters(office, "王敏", PASSWORD))[1].status == 303
    kept = office.does(lambda db: row(db, "SELECT password_hash AS p FROM staff"))["p"]
    assert kept != weak and not passwords.is_outdated(kept)
    assert (await enters(office, "王敏", PASSWORD))[1].status == 303


@pytest.mark.parametrize("damaged", ["", "x", "$argon2id$v=19$m=65536"])
async def test_a_damaged_hash_lets_nobody_in(office: Office, damaged: str) -> None:
    office.link("王敏", "registrar")
    office.does(lambda db: db.execute("UPDATE staff SET password_hash = ?", [damaged]))
    assert (await enters(office, "王敏", damaged or PASSWORD))[1].status == 400


# --- guessing -------------------------------------------------------------------------------------------------------------


async def test_guessing_a_name_is_stopped_whether_it_exists_or_not(office: Office) -> None:
    await with_password(office, "王敏", "registrar")
    link = office.does(lambda db: access.make_link(db, "王敏", office.at))
    stopped = []
    for name in ("王敏", "无名氏"):
        # Every try comes from another address: it is the name that waits.
        for number in range(passwords.GUESSES):
            assert (await enters(office, name, f"猜猜看 {number}"))[1].status == 400
        page = (await enters(office, name, PASSWORD))[1]
        assert (page.status, "请等 15 分钟" in page.text) == (429, True)
        stopped.append(page.text.replace(name, "某人"))
    assert len(set(stopped)) == 1
    assert (await browser_elsewhere(office).sends("/console/enter", token=link)).status == 303
    office.at += passwords.WAIT
    assert (await enters(office, "王敏", PASSWORD))[1].status == 303


async def test_a_right_password_forgets_the_wrong_ones(office: Office) -> None:
    await with_password(office, "王敏", "registrar")
    for _ in range(2):
        for number in range(2):
            assert (await enters(office, "王敏", f"打错了 {number}"))[1].status == 400
        assert (await enters(office, "王敏", PASSWORD))[1].status == 303


def test_many_guesses_at_once_are_no_way_around() -> None:
    guesses = passwords.Guesses()
    assert [guesses.allows("王敏", MONDAY) for _ in range(7)] == [True] * 5 + [False] * 2
    assert guesses.allows("李强", MONDAY)
    late = MONDAY + passwords.WAIT
    assert guesses.allows("王敏", late)


async def test_signing_in_from_another_site_is_refused_and_counts_nothing(office: Office) -> None:
    await with_password(office, "王敏", "registrar")
    browser = browser_elsewhere(office)
    for _ in range(passwords.GUESSES + 1):
        page = await browser.opens(
            "/console/enter", "POST", data={"name": "王敏", "password": PASSWORD}, headers={"Origin": "https://evil.example"}
        )
        assert page.status == 403
    assert (await enters(office, "王敏", PASSWORD))[1].status == 303


# --- open sessions --------------------------------------------------------------------------------------------------------

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (CHROME, "Chrome · Windows"),
        (CHROME + " Edg/130.0", "Edge · Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604.1", "Safari · iPhone"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/116 Mobile Safari/537.36 MicroMessenger/8.0", "微信 · Android"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox · Linux"),
        ("<script>", "其他浏览器"),
        ("", "其他浏览器"),
    ],
)
def test_browsers_are_called_as_people_know_them(agent: str, name: str) -> None:
    assert browser_name(agent) == name


async def test_open_browsers_are_listed_and_signed_out_one_by_one_or_all(office: Office) -> None:
    here = await with_password(office, "王敏", "registrar")
    office.at += timedelta(hours=1)
    home, phone, third = [browser_elsewhere(office, agent) for agent in (CHROME, "Mozilla/5.0 (iPhone) Safari/604.1", "")]
    for browser in (home, phone, third):
        assert (await browser.sends("/console/enter", name="王敏", password=PASSWORD)).status == 303
    page = await here.opens("/console/account")
    for shown in ("Chrome · Windows", "Safari · iPhone", home.headers["X-Forwarded-For"], "2026-11-16 22:00", "2026-11-16 21:00"):
        assert shown in page.text
    assert page.text.count("本机") == 1
    # The page of the home browser offers all but itself.
    ids = set(re.findall(r'name="session" value="(\w{16})"', page.text))
    home_id = (ids - set(re.findall(r'name="session" value="(\w{16})"', (await home.opens("/console/account")).text))).pop()
    ended = await here.sends("/console/account/sign-out", None, csrf=page.fields["csrf"], session=home_id)
    assert ended.headers["Location"] == "/console/account?done=signed-out"
    assert [(await browser.opens("/console")).status for browser in (here, home, phone, third)] == [200, 403, 200, 200]
    await here.sends("/console/account/sign-out", page, session="others")
    assert [(await browser.opens("/console")).status for browser in (here, home, phone, third)] == [200, 403, 403, 403]


async def test_nobody_signs_out_somebody_elses_browser(office: Office) -> None:
    mine, other = await office.clerk("王敏", "registrar"), await office.clerk("李强", "registrar")
    (his,) = office.does(lambda db: access.sessions_of(db, 2, office.at))
    page = await mine.opens("/console/account")
    await mine.sends("/console/account/sign-out", None, csrf=page.fields["csrf"], session=his["id"])
    assert (await other.opens("/console")).status == 200


def chat_of(office: Office, browser: Clerk) -> int:
    """Give a browser a web chat."""
    signer = load_signer(office.opened.settings.data_dir)
    chat_id = signer.new_chat()
    browser.session.cookie_jar.update_cookies({CHAT_COOKIE: signer.cookie(chat_id)})
    return chat_id


def owner(office: Office, chat_id: int) -> str | None:
    """Whose chat it is now."""
    found = office.does(lambda db: access.staff_in_chat(db, "web", chat_id, office.at))
    told = office.does(lambda db: access.chats_of_roles(db, list(ROLES), office.at))
    assert (("web", chat_id) in told) == (found is not None)
    return found.name if found else None


async def signed_in_chat(office: Office, name: str) -> tuple[Clerk, int]:
    """A browser with a web chat, signed in by password."""
    browser = browser_elsewhere(office)
    chat_id = chat_of(office, browser)
    assert (await browser.sends("/console/enter", name=name, password=PASSWORD)).status == 303
    assert owner(office, chat_id) == name
    return browser, chat_id


async def test_a_web_chat_is_staffs_only_while_they_have_an_open_session(office: Office) -> None:
    first = await with_password(office, "王敏", "registrar")
    await first.sends("/console/leave", await first.opens("/console"))
    _, chat_id = await signed_in_chat(office, "王敏")
    office.at += timedelta(hours=access.SESSION_HOURS, minutes=1)
    assert owner(office, chat_id) is None
    # Signing in elsewhere does not bring the forgotten browser's chat back.
    await enters(office, "王敏", PASSWORD)
    assert owner(office, chat_id) is None


async def test_signing_out_from_afar_ends_the_chats_there_but_not_ones_own(office: Office) -> None:
    await with_password(office, "王敏", "registrar")
    mine, my_chat = await signed_in_chat(office, "王敏")
    _, other_chat = await signed_in_chat(office, "王敏")
    await mine.sends("/console/account/sign-out", await mine.opens("/console/account"), session="others")
    assert (owner(office, my_chat), owner(office, other_chat)) == ("王敏", None)
    await mine.sends("/console/leave", await mine.opens("/console"))
    assert owner(office, my_chat) is None


async def test_a_colleague_signing_in_on_the_same_browser_takes_its_chat(office: Office) -> None:
    await with_password(office, "王敏", "registrar")
    await with_password(office, "李强", "registrar")
    browser, chat_id = await signed_in_chat(office, "王敏")
    assert (await browser.sends("/console/enter", name="李强", password=PASSWORD)).status == 303
    assert owner(office, chat_id) == "李强"
    assert "李强" in (await browser.opens("/console")).text


# --- the staff page -------------------------------------------------------------------------------------------------------


async def test_an_admin_adds_a_person_and_hands_them_a_link(office: Office) -> None:
    admin = await office.clerk("周平", "admin")
    page = await admin.opens("/console/staff")
    added = await admin.opens(
        "/console/staff",
        "POST",
        data=[("csrf", page.fields["csrf"]), ("name", "王敏"), ("role", "handler"), ("role", "registrar"), ("division", "civil")],
    )
    person = staff_id(office, "王敏")
    assert added.headers["Location"] == f"/console/staff?person={person}&done=added"
    shown = (await admin.opens(added.headers["Location"])).text
    for expected in ("登记员、承办人", "民事审判庭", "从未", "没有绑定对话"):
        assert expected in shown
    made = await on_person(admin, office, "王敏", "link", how="show")
    (link,) = re.findall(r"https://yqt\.example\.cn(/console/enter\?token=[\w-]+)", made.text)
    assert link not in (await admin.opens(f"/console/staff?person={person}")).text
    browser = browser_elsewhere(office)
    assert (await browser.sends("/console/enter", await browser.opens(link))).status == 303
    assert "登记员、承办人" in (await browser.opens("/console")).text
    assert "2026-11-16 09:00" in (await admin.opens("/console/staff")).text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([("name", "周平"), ("role", "handler")], "已经有名叫"),
        ([("name", "  "), ("role", "handler")], "姓名"),
        ([("name", "王敏")], "角色"),
        ([("name", "王敏"), ("role", "judge")], "角色"),
        ([("name", "王敏"), ("role", "handler"), ("division", "moon")], "没有这个部门"),
        ([("name", "王敏"), ("role", "handler"), ("telegram", "@wangmin")], "一串数字"),
        ([("name", "王敏"), ("role", "handler"), ("telegram", "0")], "一串数字"),
        ([("name", "王敏"), ("role", "handler"), ("telegram", "77")], "已经是 周平 的"),
    ],
)
async def test_mistakes_on_the_staff_page_change_nothing(office: Office, typed: Sequence[tuple[str, str]], said: str) -> None:
    admin = await office.clerk("周平", "admin")
    office.does(lambda db: access.bind_chat(db, 1, "telegram", 77))
    csrf = (await admin.opens("/console/staff")).fields["csrf"]
    before = audit(office)
    refused = await admin.opens("/console/staff", "POST", data=[("csrf", csrf), *typed])
    assert refused.status in (400, 409) and said in refused.text
    assert f'value="{dict(typed)["name"]}"' in refused.text
    assert [item["name"] for item in office.does(lambda db: rows(db, "SELECT name FROM staff"))] == ["周平"]
    assert audit(office) == before


async def test_a_deactivated_persons_sessions_chats_and_links_are_dead_at_once(office: Office) -> None:
    admin, victim = await office.clerk("周平", "admin"), await with_password(office, "王敏", "registrar")
    _, chat_id = await signed_in_chat(office, "王敏")
    person = staff_id(office, "王敏")
    office.does(lambda db: access.bind_chat(db, person, "telegram", 77))
    link = office.does(lambda db: access.make_link(db, "王敏", office.at))
    assert (await on_person(admin, office, "王敏", "active", active="no")).status == 303
    assert (await victim.opens("/console")).status == 403
    assert (await enters(office, "王敏", PASSWORD))[1].status == 400
    assert owner(office, chat_id) is None
    assert (await on_person(admin, office, "王敏", "active", active="yes")).status == 303
    # Nothing of before comes back, except that the password is theirs again.
    assert (await victim.opens("/console")).status == 403
    assert (await browser_elsewhere(office).sends("/console/enter", token=link)).status == 400
    assert office.does(lambda db: rows(db, "SELECT * FROM staff_chats")) == []
    assert (await enters(office, "王敏", PASSWORD))[1].status == 303


async def test_needs_in_hand_are_counted_as_a_warning(office: Office) -> None:
    admin = await office.clerk("周平", "admin")
    office.link("王敏", "handler")
    person, numbers = staff_id(office, "王敏"), [office.need(), office.need(chat_id=8), office.need(chat_id=9)]

    def hand_over(db: Db) -> None:
        for no, details in zip(numbers, ({}, {}, {"visibility": "专班", "sensitive": "危险"}), strict=True):
            history.append(db, no, office.at, "staff:1", "assign", "submitted", "assigned", details={"handler": person} | details)
            history.follow(db, no, office.opened.rules)

    office.does(hand_over)
    # The third is for its handler and the duty person alone.
    assert "手上还有 <b>2</b> 件没有办结的需求" in (await admin.opens(f"/console/staff?person={person}")).text


async def test_the_last_admin_stays_and_nobody_deactivates_themselves(office: Office) -> None:
    admin = await office.clerk("周平", "admin")
    assert "最后一位" in (await on_person(admin, office, "周平", "change", role="auditor")).text
    assert "不能停用自己" in (await on_person(admin, office, "周平", "active", active="no")).text
    second = await office.clerk("吴芳", "admin", "auditor")
    assert "不能停用自己" in (await on_person(admin, office, "周平", "active", active="no")).text
    assert (await on_person(second, office, "周平", "active", active="no")).status == 303
    # A deactivated admin does not count.
    kept = await on_person(second, office, "吴芳", "change", role="auditor")
    assert (kept.status, "最后一位" in kept.text) == (409, True)
    assert [item["roles"] for item in office.does(lambda db: rows(db, "SELECT roles FROM staff WHERE active = 1"))] == [
        '["admin", "auditor"]'
    ]


async def test_changed_roles_hold_for_the_next_page(office: Office) -> None:
    admin, clerk = await office.clerk("周平", "admin"), await office.clerk("王敏", "registrar")
    assert (await clerk.opens("/console/audit")).status == 403
    assert (await on_person(admin, office, "王敏", "change", role="auditor", division="civil")).status == 303
    assert (await clerk.opens("/console/audit")).status == 200
    found = office.does(lambda db: row(db, "SELECT roles, division FROM staff WHERE name = '王敏'"))
    assert found == {"roles": '["auditor"]', "division": "civil"}


async def test_signed_out_completely_by_the_admin(office: Office) -> None:
    admin, victim = await office.clerk("周平", "admin"), await with_password(office, "王敏", "registrar")
    _, chat_id = await signed_in_chat(office, "王敏")
    assert (await on_person(admin, office, "王敏", "sign-out")).status == 303
    assert (await victim.opens("/console")).status == 403
    assert owner(office, chat_id) is None
    assert (await admin.opens("/console/staff")).status == 200
    assert (await enters(office, "王敏", PASSWORD))[1].status == 303


async def test_a_forgotten_password_is_cleared_with_a_new_link(office: Office) -> None:
    admin, _ = await office.clerk("周平", "admin"), await with_password(office, "王敏", "registrar")
    made = await on_person(admin, office, "王敏", "link", how="show", clear="on")
    (link,) = re.findall(r"https://yqt\.example\.cn(/console/enter\?token=[\w-]+)", made.text)
    assert (await enters(office, "王敏", PASSWORD))[1].status == 400
    browser = browser_elsewhere(office)
    await browser.sends("/console/enter", await browser.opens(link))
    assert (await sets(browser, OTHER)).status == 303
    assert (await enters(office, "王敏", OTHER))[1].status == 303


async def test_the_bot_sends_the_link_only_to_the_persons_own_chat(office: Office) -> None:
    admin = await office.clerk("周平", "admin")
    office.link("王敏", "registrar")
    before = office.does(lambda db: rows(db, "SELECT * FROM staff_links"))
    refused = await on_person(admin, office, "王敏", "link", how="send", clear="on")
    assert (refused.status, "没有绑定对话" in refused.text) == (409, True)
    assert office.does(lambda db: rows(db, "SELECT * FROM staff_links")) == before
    office.does(lambda db: access.bind_chat(db, staff_id_of(db, "王敏"), "telegram", 77))
    sent = await on_person(admin, office, "王敏", "link", how="send")
    assert (sent.status, "token" in sent.text) == (303, False)
    (message,) = office.outbox()
    assert (message["channel"], message["chat_id"]) == ("telegram", 77)
    (link,) = re.findall(r"https://yqt\.example\.cn(/console/enter\?token=[\w-]+)", message["text"])
    browser = browser_elsewhere(office)
    assert (await browser.sends("/console/enter", await browser.opens(link))).status == 303
    assert "王敏" in (await browser.opens("/console")).text


def staff_id_of(db: Db, name: str) -> int:
    """The number of a person."""
    return int(rows(db, "SELECT id FROM staff WHERE name = ?", name)[0]["id"])


async def test_every_change_needs_the_pages_own_form(office: Office) -> None:
    admin, victim = await office.clerk("周平", "admin"), await with_password(office, "王敏", "registrar")
    person, before = str(staff_id(office, "王敏")), audit(office)
    foreign = (await victim.opens("/console")).fields["csrf"]
    for csrf in ("", "错", foreign):
        for path in ("staff", "staff/change", "staff/active", "staff/link", "staff/sign-out", "account/password", "account/sign-out"):
            typed = {"person": person, "name": "某人", "role": "admin", "active": "no", "how": "show", "session": "others"}
            sent = await admin.sends(f"/console/{path}", None, csrf=csrf, password=OTHER, again=OTHER, **typed)
            assert sent.status == 403, path
    assert audit(office) == before


# --- audit ----------------------------------------------------------------------------------------------------------------


async def test_everything_is_in_the_audit_and_no_secret_is(office: Office) -> None:
    admin = await office.clerk("周平", "admin")
    clerk = await office.clerk("王敏", "registrar")
    await sets(clerk, PASSWORD)
    await enters(office, "王敏", OTHER)
    await enters(office, OTHER, "x")
    browser, _ = await enters(office, "王敏", PASSWORD)
    await browser.sends("/console/leave", await browser.opens("/console"))
    await on_person(admin, office, "王敏", "change", role="handler", division="civil")
    made = await on_person(admin, office, "王敏", "link", how="show", clear="on")
    await on_person(admin, office, "王敏", "active", active="no")
    await on_person(admin, office, "王敏", "active", active="yes")
    me, them = "staff:1", "staff:2"
    assert audit(office) == [
        ("cli", "staff_added", me),
        ("cli", "link_made", me),
        (me, "sign_in_link", me),
        ("cli", "staff_added", them),
        ("cli", "link_made", them),
        (them, "sign_in_link", them),
        (them, "password_set", them),
        ("bot", "sign_in_failed", them),
        ("bot", "sign_in_failed", ""),
        (them, "sign_in_password", them),
        (them, "sign_out", them),
        (me, "staff_changed", them),
        (me, "password_cleared", them),
        (me, "link_made", them),
        (me, "signed_out", them),
        (me, "staff_deactivated", them),
        (me, "staff_activated", them),
    ]
    everything = str(office.does(lambda db: rows(db, "SELECT * FROM audit")))
    (token,) = re.findall(r"token=([\w-]+)", made.text)
    for secret in (PASSWORD, OTHER, token, "$argon2"):
        assert secret not in everything
    page = (await admin.opens("/console/audit")).text
    for shown in ("登记员 → 承办人（民事审判庭", "用密码登录", "登录失败", "停用工作人员", "王敏", "命令行"):
        assert shown in page


async def test_the_audit_is_filtered_by_kind_person_and_day(office: Office) -> None:
    auditor, _ = await office.clerk("陈静", "auditor"), await with_password(office, "王敏", "registrar")
    office.at += timedelta(days=1)
    auditor, _ = browser_elsewhere(office), await enters(office, "王敏", PASSWORD)
    await auditor.sends("/console/enter", token=office.does(lambda db: access.make_link(db, "陈静", office.at)))

    async def finds(**query: Any) -> list[tuple[str, str]]:
        text = (await auditor.opens("/console/audit", params=query)).text
        return [
            (who, did)
            for who, did in re.findall(r"<tr>\n<td class=\"moment\">.*?</td>\n<th scope=\"row\">(.*?)</th>\n<td>(.*?)</td>", text)
        ]

    assert await finds(action="password_set") == [("王敏", "设置密码")]
    assert await finds(action="sign_in_password", person="staff:1") == []
    assert await finds(day="2026-11-17", person="staff:2") == [("王敏", "用密码登录")]
    assert await finds(person="staff:1", action="link_made", day="2026-11-16") == [("命令行", "生成登录链接")]
    everything = await finds()
    assert len(everything) == 10 and everything[0] == ("陈静", "用链接登录")
    for nonsense in ({"day": "2026-13-99"}, {"day": "9999-12-31x"}, {"person": "' OR 1=1"}, {"page": "-1"}, {"tab": "<x>"}):
        assert await finds(**nonsense) == everything
    assert await finds(action="<script>") == []
    assert (await auditor.opens("/console/audit?day=9999-12-31")).status == 200


async def test_the_history_of_all_needs_shows_steps_and_no_texts(office: Office) -> None:
    admin, auditor, no = await office.clerk("周平", "admin"), await office.clerk("陈静", "auditor"), office.need()
    secret = office.need("有人要上访", chat_id=8)
    handler = await office.clerk("王敏", "registrar")
    await handler.sends(f"/console/needs/{no}/reply", await handler.opens(f"/console/needs/{no}"), text="这是答复的原文")

    def restrict(db: Db) -> None:
        history.append(
            db, secret, office.at, "staff:1", "restrict", "submitted", "submitted", details={"visibility": "专班", "sensitive": "信访"}
        )
        history.follow(db, secret, office.opened.rules)

    office.does(restrict)
    seen_by_auditor = (await auditor.opens("/console/audit?tab=needs")).text
    seen_by_admin = (await admin.opens("/console/audit?tab=needs")).text
    assert no in seen_by_auditor and secret in seen_by_auditor and "设为专班可见" in seen_by_auditor
    # An admin is neither on duty nor the handler.
    assert no in seen_by_admin and secret not in seen_by_admin
    for text in (seen_by_auditor, seen_by_admin):
        assert "这是答复的原文" not in text and "货款" not in text and "王敏" in text
    only = (await auditor.opens(f"/console/audit?tab=needs&action=reply&person=staff:{staff_id(office, '王敏')}")).text
    assert "<b>1</b> 条" in only


async def test_a_hundred_thousand_rows_are_paged_quickly(office: Office) -> None:
    auditor, no = await office.clerk("陈静", "auditor"), office.need()

    def fill(db: Db) -> None:
        days = [stamp(MONDAY + timedelta(minutes=number)) for number in range(100_000)]
        db.conn.executemany("INSERT INTO audit (at, actor, action) VALUES (?, 'staff:1', 'export')", [(at,) for at in days])
        db.conn.executemany(
            "INSERT INTO need_history (need_no, at, actor, action, to_state, previous, link)"
            " VALUES (?, ?, 'bot', 'assign', 'assigned', '', '')",
            [(no, at) for at in days],
        )

    office.does(fill)
    for path in ("", "?page=2000", "?day=2026-11-20", "?person=staff:1&action=export", "?tab=needs", "?tab=needs&page=1999&person=bot"):
        began = perf_counter()
        page = await auditor.opens(f"/console/audit{path}")
        took = perf_counter() - began
        assert page.text.count('<td class="moment">') == (page.text.count("<tr>") - 1) > 0
        assert took < 0.5, (path, took)
    last = await auditor.opens("/console/audit?page=999999")
    assert "第 2001 页，共 2001 页" in last.text


# --- from the chat --------------------------------------------------------------------------------------------------------


async def test_console_in_a_staff_chat_answers_with_a_link_of_ones_own(running: Running) -> None:
    app = running.app
    app.database.write(lambda db: access.add_staff(db, "李登记", ["registrar"], app.clock(), 90001)).result()
    clerk, visitor = TelegramVisitor(app, running.api, 90001), TelegramVisitor(app, running.api, 70001)
    await clerk.says("/console")
    (token,) = re.findall(r"/console/enter\?token=([\w-]+)", clerk.sees())
    assert "24 小时" in clerk.sees()
    person = app.database.write(lambda db: access.use_link(db, token, app.clock())).result()
    assert person.name == "李登记"
    found = app.database.read(lambda db: rows(db, "SELECT actor, action FROM audit WHERE action = 'link_made'")).result()
    assert found == [{"actor": person.actor, "action": "link_made"}]
    await visitor.says("/console")
    assert "token" not in visitor.sees()


async def test_a_link_opened_in_the_web_chat_ends_with_its_session(office: Office) -> None:
    office.link("王敏", "registrar")

    def enter(db: Db) -> None:
        token = access.make_link(db, "王敏", office.at)
        access.enter_chat(db, access.use_link(db, token, office.at), "web", 12345, office.at)

    office.does(enter)
    assert owner(office, 12345) == "王敏"
    assert [item["agent"] for item in office.does(lambda db: access.sessions_of(db, 1, office.at))] == ["网页对话"]
    office.at += timedelta(hours=access.SESSION_HOURS, minutes=1)
    assert owner(office, 12345) is None
