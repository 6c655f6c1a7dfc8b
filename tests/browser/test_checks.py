"""The way of a member through the pages, in Chromium, with and without scripts, at a desk and on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from checks.models import Check
from tests.browser.conftest import OpenPage
from tests.conftest import Personas
from tests.dashboard.rows import make_history, make_incident
from tests.nameserver import name_server
from tests.targets import answer, authority, replies, serve

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PATHS = (
    *("/", "/checks/", "/incidents/", "/alerts/", "/channels/", "/checks/new/", "/channels/new/"),
    *("/keys/", "/keys/new/"),
    *(f"/checks/new/?kind={kind}" for kind in ("tcp", "tls", "dns", "heartbeat")),
)


def test_create_a_check_try_it_and_find_it(personas: Personas, open_page: OpenPage) -> None:
    with serve(replies(answer())) as target:
        page = open_page(personas.editor)
        page.get_by_role("link", name="Add a check").click()
        page.get_by_label("Address").fill(target.url("/health"))
        page.get_by_role("button", name="Test now").click()
        expect(page.get_by_role("region", name="Test result")).to_contain_text("HTTP 200")
        # The draft is still there: only the result was swapped in.
        expect(page.get_by_label("Address")).to_have_value(target.url("/health"))
        page.get_by_role("button", name="Save and watch").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("127.0.0.1")
        expect(page.get_by_text("is watched from now on")).to_be_visible()
        page.get_by_role("button", name="Test now").click()
        expect(page.get_by_role("region", name="Test result")).to_contain_text(
            "Answered as expected"
        )
        page.get_by_role("navigation", name="Main", exact=True).get_by_role(
            "link", name="Checks"
        ).click()
        expect(page.get_by_role("link", name="127.0.0.1", exact=True)).to_be_visible()


def test_without_scripts_a_check_is_created_paused_and_deleted(
    personas: Personas, open_page: OpenPage
) -> None:
    page = open_page(personas.editor, javascript=False)
    page.goto("/checks/new/")
    page.get_by_label("Address").fill("http://127.0.0.1/health")
    page.get_by_text("What a good answer is").click()
    page.get_by_label("Status codes").fill("200")
    page.get_by_role("button", name="Save and watch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("127.0.0.1")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.locator("main summary").filter(has_text="More").click()
    page.get_by_role("link", name="Delete this check").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("is deleted")).to_be_visible()
    check = Check.objects.for_client(personas.client).get()
    assert check.expected_status == ["200"]
    assert check.deleted_at is not None


def test_a_check_of_each_kind_is_made_through_its_form(
    personas: Personas, open_page: OpenPage
) -> None:
    page = open_page(personas.editor)

    def new(kind: str, label: str, typed: str) -> None:
        page.goto("/checks/new/")
        page.get_by_role("link", name=kind).click()
        page.get_by_label(label, exact=True).fill(typed)

    def save(words: str) -> None:
        page.get_by_role("button", name="Save and watch").click()
        expect(page.locator("main .page-head")).to_contain_text(words)

    result = page.get_by_role("region", name="Test result")
    with serve(replies(b"+PONG\r\n")) as target:
        new("TCP port", "Host and port", f"127.0.0.1:{target.port}")
        page.get_by_text("What a good answer is").click()
        page.get_by_label("Send").fill(r"PING\r\n\r\n")
        page.get_by_label("Expect").fill("220 mail")
        page.get_by_role("button", name="Test now").click()
        expect(result).to_contain_text("What the server says")
        expect(result).to_contain_text("Not met")
        page.get_by_label("Expect").fill("+PONG")
        page.get_by_role("button", name="Test now").click()
        expect(result).to_contain_text("Answered as expected")
        save(f"TCP port: 127.0.0.1:{target.port}")
    with serve(replies(answer()), context=authority().context("127.0.0.1")) as secure:
        new("TLS certificate", "Host", f"127.0.0.1:{secure.port}")
        page.get_by_role("button", name="Test now").click()
        expect(result).to_contain_text("Down")
        save("TLS certificate: 127.0.0.1")
    with name_server({"shop.test MX": ["10 mail.shop.test"]}) as server:
        new("DNS record", "Domain name", "shop.test")
        page.get_by_label("Record").select_option("MX")
        page.get_by_text("Name server and time").click()
        page.get_by_label("Name server").fill(server.place)
        page.get_by_role("button", name="Test now").click()
        expect(result).to_contain_text("10 mail.shop.test")
        save("DNS record: MX shop.test")
    new("Heartbeat", "Name", "Nightly backup")
    expect(page.get_by_role("button", name="Test now")).to_have_count(0)
    save("Heartbeat: Every hour")
    expect(page.get_by_role("region", name="Address for calls")).to_contain_text("/ping/")
    kinds = Check.objects.for_client(personas.client).values_list("kind", flat=True)
    assert set(kinds) == {"tcp", "tls", "dns", "heartbeat"}


def test_sign_in_asks_for_what_its_kind_needs(personas: Personas, open_page: OpenPage) -> None:
    page = open_page(personas.editor)
    page.goto("/checks/new/")
    page.get_by_text("Sign-in", exact=True).click()
    password, token = page.get_by_label("Password"), page.get_by_label("Token")
    expect(password).to_be_hidden()
    page.get_by_label("Sign in with").select_option("basic")
    expect(password).to_be_visible()
    expect(token).to_be_hidden()
    page.get_by_label("Sign in with").select_option("bearer")
    expect(token).to_be_visible()
    expect(password).to_be_hidden()


def test_an_error_is_said_and_leads_to_its_field(personas: Personas, open_page: OpenPage) -> None:
    page = open_page(personas.editor)
    page.goto("/checks/new/")
    page.get_by_label("Address").fill("http://10.0.0.1/")
    page.get_by_role("button", name="Save and watch").click()
    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("1 thing needs your attention")
    expect(summary).to_be_focused()
    summary.get_by_role("link", name="Address").click()
    expect(page.get_by_label("Address")).to_be_focused()
    expect(page.get_by_label("Address")).to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (390, "light"), (1280, "dark")])
def test_no_page_scrolls_sideways(
    personas: Personas, open_page: OpenPage, width: int, scheme: str
) -> None:
    check = make_history(
        personas,
        minutes=20,
        down=(0, 1),
        name="A name that is longer than a phone is wide, with Donaudampfschifffahrtsgesellschaft",
        url="http://127.0.0.1/" + "a-long-path-without-any-space/" * 5,
        max_latency_ms=300,
    )
    incident = make_incident(check, minutes_ago=3)
    page = open_page(personas.owner, width=width, scheme=scheme)
    more = (f"/checks/{check.pk}/", f"/checks/{check.pk}/edit/", f"/incidents/{incident.pk}/")
    for path in (*PATHS, *more):
        page.goto(path)
        across, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert across <= inner, path


def test_a_change_of_state_is_polled_said_once_and_counted(
    personas: Personas, open_page: OpenPage
) -> None:
    check = make_history(personas, minutes=5, name="Shop")
    page = open_page(personas.viewer)
    page.goto("/checks/")
    expect(page).to_have_title("Checks · Uptime")
    Check.objects.for_client(personas.client).filter(pk=check.pk).update(state="down")
    page.evaluate("document.querySelector('[data-poll]').dispatchEvent(new CustomEvent('refresh'))")
    expect(page.get_by_role("status")).to_have_text("Shop is down.")
    expect(page).to_have_title("(1) Checks · Uptime")
    page.evaluate("document.getElementById('live').textContent = ''")
    page.evaluate("document.querySelector('[data-poll]').dispatchEvent(new CustomEvent('refresh'))")
    page.wait_for_timeout(300)
    expect(page.get_by_role("status")).to_have_text("")


def test_the_theme_is_chosen_in_the_menu_and_stays(personas: Personas, open_page: OpenPage) -> None:
    page = open_page(personas.viewer)
    page.goto("/checks/")
    menu = page.locator(".sidebar .menu-box").last
    menu.locator("summary").click()
    menu.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert (
        page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        == "rgb(18, 18, 25)"
    )
    page.goto("/incidents/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_the_keyboard_reaches_content_and_escape_closes_menus(
    personas: Personas, open_page: OpenPage
) -> None:
    page = open_page(personas.viewer)
    page.goto("/checks/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    menu = page.locator(".sidebar .menu-box").last
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(menu).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    expect(menu.locator("summary")).to_be_focused()
