"""Lockstep: who is asked again, and who is given up."""

from __future__ import annotations

from pe_nodes.lockstep import RESEND_FIRST, Lockstep, describe_silence


def test_both_answers_are_needed():
    step = Lockstep(("a", "b"), 5.0)
    step.begin(0.0)
    assert not step.answer("a")
    assert not step.answer("a")
    assert step.answer("b")


def test_who_is_late_is_asked_again_at_growing_intervals():
    step = Lockstep(("a", "b"), 5.0)
    step.begin(0.0)
    step.answer("a")
    assert step.late(RESEND_FIRST / 2) == set()
    assert step.late(0.07) == {"b"}
    assert step.late(0.14) == set()
    assert step.late(0.20) == {"b"}


def test_who_stays_late_is_given_up_once_and_not_waited_for_again():
    step = Lockstep(("a", "b"), 5.0)
    step.begin(0.0)
    step.answer("a")
    assert step.give_up({"b"}, 1.0) == (False, [])
    assert step.give_up({"b"}, 5.1) == (True, ["b"])
    step.begin(5.1)
    step.answer("a")
    assert step.give_up(step.late(5.2), 5.2) == (True, [])
    step.begin(5.2)
    step.answer("b")
    assert step.silent == set()


def test_silence_is_described_by_name():
    text = describe_silence("evader", 8.0, ["/evader/policy", "/evader/safety"], ["/evader/safety"])
    assert "/evader/safety sent no cmd_vel for 8.0 s" in text and "gone: /evader/policy" in text
