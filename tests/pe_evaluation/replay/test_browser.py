"""The replay in a real Chromium: what it draws, what its controls and keys do, what is read aloud, and on a phone."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from pe_evaluation.comparison.track import Track
from pe_evaluation.replay.page import Group, replay_page
from tests.pe_evaluation.replay.test_page import wander
from tests.support.browser import browser

pytestmark = pytest.mark.slow
ORANGE, BLUE = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)
NEAR = 40  # an arrow's edge may lie over the middle of a body
ROOT = Path(__file__).resolve().parents[3]
PLAYER = "const player = document.querySelector('.replay').replay; "


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def tracks() -> list[Track]:
    return [wander(200), wander(120, seed=2, name="cbf-beta", captured=False), wander(200, seed=3, name="hybrid")]


@pytest.fixture
def page(chromium: Any, tracks: list[Track], tmp_path: Path) -> Any:
    """The page, wide, with two groups; what the browser complains of fails the test."""
    groups = [Group("first", tracks[:2]), Group("second", tracks[2:])]
    (tmp_path / "page.html").write_text(replay_page(groups))
    size(chromium, 1280)
    chromium.get_log("browser")
    chromium.get_log("performance")
    chromium.get((tmp_path / "page.html").as_uri())
    yield chromium
    assert chromium.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    urls = {event["params"]["request"]["url"] for event in asked if event["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith(("file:", "data:"))} == set()


def size(driver: Any, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def run(driver: Any, script: str) -> Any:
    return driver.execute_script(PLAYER + script)


def step_of(driver: Any) -> int:
    return int(run(driver, "return Math.round(player.seconds / player.dt)"))


def press(driver: Any, *keys: str) -> None:
    for key in keys:
        driver.find_element("css selector", ".replay").send_keys(key)


def picture(driver: Any, panel: int) -> np.ndarray:
    """The arena canvas of a panel, shape (n, n, 3)."""
    data = run(driver, f"return player.panels[{panel}].arena.canvas.toDataURL('image/png')")
    image = imread(io.BytesIO(base64.b64decode(data.partition(",")[2])))
    return np.rint(255 * image[:, :, :3]).astype(int)


def colour_at(image: np.ndarray, track: Track, step: int, lane: int) -> list[int]:
    """The colour in the middle of a robot."""
    half = 1.045 * track.arena.half_side
    x, y = track.poses[step, lane, :2]
    row, column = (round((half - y) / (2 * half) * len(image)), round((half + x) / (2 * half) * len(image)))
    return image[row, column].tolist()


def test_the_browser_has_the_numbers_of_the_tracks(page: Any, tracks: list[Track]) -> None:
    for index, track in enumerate(tracks[:2]):
        poses = run(page, f"return Array.from(player.tracks[{index}].poses)")
        np.testing.assert_allclose(np.reshape(poses, track.poses.shape), track.poses, atol=3e-4)
        executed = run(page, f"return Array.from(player.tracks[{index}].commands)")
        executed = np.reshape(executed, (track.steps, 2, 4))[..., 2:]
        np.testing.assert_allclose(executed, track.command, atol=2e-4)


@pytest.mark.parametrize("step", [0, 57, 120])
def test_both_bodies_stand_where_they_were(page: Any, tracks: list[Track], step: int) -> None:
    run(page, f"player.seek({step})")
    for index, track in enumerate(tracks[:2]):
        image = picture(page, index)
        assert np.abs(np.array(colour_at(image, track, step, 0)) - ORANGE).max() < NEAR
        assert np.abs(np.array(colour_at(image, track, step, 1)) - BLUE).max() < NEAR


def test_a_picture_depends_on_its_step_alone(page: Any) -> None:
    """Forwards in small steps, in one leap, and backwards."""
    run(page, "for (let step = 0; step <= 100; step++) player.seek(step)")
    slowly = picture(page, 0)
    run(page, "player.seek(200); player.seek(100)")
    backwards = picture(page, 0)
    run(page, "player.setChase(true); player.seek(30); player.setChase(false); player.seek(100)")
    after = picture(page, 0)
    # Round ends of short strokes overlap a little differently.
    for other in (backwards, after):
        assert (np.abs(slowly - other).max(axis=2) > 60).mean() < 0.002
    run(page, "player.seek(0)")
    assert (np.abs(slowly - picture(page, 0)).max(axis=2) > 60).mean() > 0.002


def test_it_plays_to_the_end_and_stops(page: Any) -> None:
    run(page, "player.setSpeed(8)")
    page.find_element("css selector", "[data-part=play]").click()
    page.set_script_timeout(60)
    done = "const ask = () => player.playing ? setTimeout(ask, 20) : arguments[0](player.seconds); ask()"
    assert page.execute_async_script(PLAYER + done) == pytest.approx(10.0)
    assert page.find_element("css selector", "[data-part=play]").get_attribute("aria-label") == "Play"
    assert "captured at 10.00 s" in page.find_element("css selector", "[role=status]").get_attribute("textContent")


def test_keys_and_buttons_step(page: Any) -> None:
    right, left, home, end = "\ue014", "\ue012", "\ue011", "\ue010"
    press(page, right, right, right, left)
    assert step_of(page) == 2
    press(page, "\ue008" + right)
    assert step_of(page) == 22
    press(page, end)
    assert step_of(page) == 200
    press(page, home)
    assert step_of(page) == 0
    page.find_element("css selector", "[data-part=forward]").click()
    assert step_of(page) == 1
    press(page, "+", "+", "-")
    assert page.find_element("css selector", "[data-part=speed]").get_attribute("value") == "2"
    press(page, "z")
    assert page.find_element("css selector", "[data-part=chase]").is_selected()


def test_events_are_jumped_to_and_read_aloud(page: Any, tracks: list[Track]) -> None:
    least = {int(track.margins.min(axis=1).argmin()) for track in tracks[:2]}
    places = sorted({40, 100, 120, 200} | least)
    for place in [place for place in places if place]:
        press(page, "n")
        assert step_of(page) == place
        said = page.find_element("css selector", "[role=status]").get_attribute("textContent")
        assert f"{0.05 * place:.2f} s" in said
        if place == 40:
            assert "pursuer corrected" in said
        if place == 100:
            assert "evader backup" in said
    press(page, "p")
    assert step_of(page) == places[-2]


def test_a_strip_can_be_dragged(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    strip = page.find_element("css selector", ".replay-strips")
    ActionChains(page).move_to_element(strip).click().perform()
    middle = step_of(page)
    ActionChains(page).move_to_element(strip).click_and_hold().move_by_offset(60, 0).release().perform()
    assert 80 < middle < step_of(page) < 190
    cursors = run(page, "return player.panels.map((panel) => panel.strips.cursor.style.transform)")
    assert len(set(cursors)) == 1


def test_another_group_is_chosen(page: Any, tracks: list[Track]) -> None:
    from selenium.webdriver.support.ui import Select

    Select(page.find_element("css selector", "[data-part=group]")).select_by_visible_text("second")
    assert [head.text for head in page.find_elements("css selector", ".replay-panel h4")] == ["hybrid v flee"]
    run(page, "player.seek(50)")
    assert np.abs(np.array(colour_at(picture(page, 0), tracks[2], 50, 0)) - ORANGE).max() < NEAR


def test_everything_has_a_name_for_a_screen_reader(page: Any) -> None:
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = ("button", "slider", "combobox", "checkbox", "image", "img", "group")
    found = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    named = [(role, name) for role, name in found if role in roles]
    assert {"button", "slider", "combobox", "checkbox"} <= {role for role, _ in named}
    assert [role for role, name in named if not name.strip()] == []
    assert any("not captured in 6.00 s" in name for _, name in named)
    slider = page.find_element("css selector", "[data-part=scrub]")
    run(page, "player.seek(20)")
    assert slider.get_attribute("aria-valuetext") == "1.00 s of 10.00 s"


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_fits_every_width(page: Any, width: int) -> None:
    size(page, width)
    page.refresh()
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    sides = run(page, "return player.panels.map((panel) => panel.frame.clientWidth)")
    assert min(sides) >= 250
    buttons = page.find_elements("css selector", ".replay-controls button")
    assert min(min(button.size.values()) for button in buttons) >= 36


def test_without_a_program_and_on_paper_there_are_stills(page: Any, tracks: list[Track]) -> None:
    def shown() -> tuple[bool, bool]:
        return tuple(  # type: ignore[return-value]
            page.execute_script(f"return getComputedStyle(document.querySelector('{part}')).display !== 'none'")
            for part in (".replay-still", ".replay-controls")
        )

    assert shown() == (False, True)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert shown() == (True, False)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page.refresh()
    stills = page.find_elements("css selector", ".replay-still svg")
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert len(stills) == len(tracks)
    assert stills[0].size["width"] > 200


def test_four_whole_games_side_by_side(chromium: Any, tmp_path: Path) -> None:
    """1200 steps, two robots, four approaches: what a comparison shows."""
    games = [wander(1200, seed=number, name=f"approach {number}") for number in range(4)]
    for track in games:
        # They wander up to 26 m from the middle of an arena of 20 m.
        track.poses[:, :, :2] /= 3.0
    (tmp_path / "page.html").write_text(replay_page([Group("four", games)]))
    size(chromium, 1280)
    chromium.get_log("browser")
    chromium.get((tmp_path / "page.html").as_uri())
    for step in (600, 1200):
        run(chromium, f"player.seek({step})")
        for index, track in enumerate(games):
            assert np.abs(np.array(colour_at(picture(chromium, index), track, step, 0)) - ORANGE).max() < NEAR
    assert step_of(chromium) == 1200
    assert chromium.get_log("browser") == []


def test_the_committed_comparison_plays_and_asks_nobody(chromium: Any) -> None:
    size(chromium, 1280)
    chromium.get_log("browser")
    chromium.get_log("performance")
    chromium.get((ROOT / "docs/results/comparison/report.html").as_uri())
    assert run(chromium, "return player.panels.length") == 4
    press(chromium, "\ue010")
    longest = run(chromium, "return Math.max(...player.tracks.map((track) => track.steps))")
    assert step_of(chromium) == longest > 100
    images = [picture(chromium, panel) for panel in range(4)]
    assert all(np.ptp(image.reshape(-1, 3), axis=0).min() > 100 for image in images), "an arena was not drawn"
    assert chromium.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    urls = {event["params"]["request"]["url"] for event in asked if event["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith(("file:", "data:"))} == set()


def test_two_replays_of_a_page_are_two_players(chromium: Any, tmp_path: Path) -> None:
    from pe_evaluation.replay.page import replay_html

    both = "".join(replay_html([[wander(30, name=name)]]) for name in ("one", "two"))
    (tmp_path / "page.html").write_text(f'<!DOCTYPE html><meta charset="utf-8">{both}')
    chromium.get((tmp_path / "page.html").as_uri())
    script = "const roots = [...document.querySelectorAll('.replay')]; roots[0].replay.seek(7); "
    script += "return roots.map((root) => [root.replay.tracks[0].name, Math.round(root.replay.seconds / 0.05)])"
    assert chromium.execute_script(script) == [["one", 7], ["two", 0]]


def test_an_episode_of_no_step_is_shown(chromium: Any, tmp_path: Path) -> None:
    track = wander(5)
    short = dataclasses.replace(track, poses=track.poses[:1], margins=track.margins[:1], nominal=track.nominal[:0],
                                command=track.command[:0], tiers=track.tiers[:0])  # fmt: skip
    (tmp_path / "page.html").write_text(replay_page([[short]]))
    chromium.get_log("browser")
    chromium.get((tmp_path / "page.html").as_uri())
    run(chromium, "player.seek(3); player.play(); player.pause()")
    assert chromium.get_log("browser") == []
