"""Faults: each does what its name says, they compose, and a seed repeats them."""

import pytest

from simvenues.faults import KINDS, Batch, FaultError, Faults

MESSAGES = tuple(b"3\0%d\0Submitted\0" % number for number in range(1000))


def sent(faults: Faults, messages: tuple[bytes, ...] = MESSAGES, now_s: float = 0.0) -> Batch:
    return faults.apply(messages, now_s, outgoing=True)


def test_nothing_on_changes_nothing() -> None:
    """Without a fault the chain is inactive and passes every batch as it is."""
    faults = Faults()
    assert not faults.active
    assert sent(faults) == Batch(MESSAGES, outgoing=True)


def test_latency_holds_what_goes_out_and_not_what_comes_in() -> None:
    """Each outgoing batch is late by the fixed time plus at most the jitter."""
    faults = Faults(1)
    faults.on("latency", latency_ms=20.0, jitter_ms=10.0)
    delays = [sent(faults).delay_s for _ in range(50)]
    assert 0.020 <= min(delays) < max(delays) <= 0.030
    assert faults.apply(MESSAGES, 0.0, outgoing=False).delay_s == 0


def test_a_stall_holds_both_ways_until_it_is_over() -> None:
    """Batches wait for the end of the stall, counted from when it was switched on; later ones pass."""
    faults = Faults()
    faults.on("stall", 10.0, stall_s=3.0)
    assert faults.apply(MESSAGES, 11.0, outgoing=False).delay_s == pytest.approx(2.0)
    assert sent(faults, now_s=12.5).delay_s == pytest.approx(0.5)
    assert sent(faults, now_s=14.0).delay_s == 0


def test_a_reset_cuts_once_after_its_messages() -> None:
    """The n-th message is the last that passes; connections afterwards live."""
    faults = Faults()
    faults.on("reset", after_messages=5)
    assert not sent(faults, MESSAGES[:3]).cut
    cut = sent(faults, MESSAGES[:4])
    assert (cut.cut, cut.messages) == (True, MESSAGES[:2])
    assert sent(faults) == Batch(MESSAGES, outgoing=True)


def test_drop_loses_about_its_share() -> None:
    """Outgoing messages are lost at the stated rate and those that pass are whole and in order."""
    faults = Faults(3)
    faults.on("drop", share=0.3)
    kept = sent(faults).messages
    assert 620 <= len(kept) <= 780
    assert [message for message in MESSAGES if message in set(kept)] == list(kept)


def test_malformed_breaks_about_its_share_in_every_way() -> None:
    """Some messages lose or gain a field, some hold a word for a number, some are noise; the rest are whole."""
    faults = Faults(3)
    faults.on("malformed", share=0.5)
    out = sent(faults).messages
    broken = [after for before, after in zip(MESSAGES, out, strict=True) if before != after]
    assert 420 <= len(broken) <= 580
    counts = {message.count(b"\0") for message in broken}
    assert {2, 4} <= counts
    assert any(b"not-a-number" in message for message in broken)


def test_faults_compose() -> None:
    """With several faults on a batch suffers all of them."""
    faults = Faults(1)
    faults.on("drop", share=0.5)
    faults.on("latency", latency_ms=5.0)
    batch = sent(faults)
    assert len(batch.messages) < len(MESSAGES)
    assert batch.delay_s == pytest.approx(0.005)


def test_faults_are_switched_while_running() -> None:
    """A fault acts from the moment it is on until it is off, and the state names its options."""
    faults = Faults()
    faults.on("drop", share=1.0)
    assert faults.state() == {"drop": {"share": 1.0}}
    assert sent(faults).messages == ()
    faults.off("drop")
    assert not faults.active
    assert sent(faults).messages == MESSAGES


def test_an_outage_leaves_the_wire_alone() -> None:
    """Every batch passes as it is, both ways: the fault lies behind the server, which knows it by name."""
    faults = Faults()
    faults.on("outage")
    assert faults.active
    assert "outage" in faults
    assert sent(faults) == Batch(MESSAGES, outgoing=True)
    assert faults.apply(MESSAGES, 0.0, outgoing=False) == Batch(MESSAGES, outgoing=False)
    with pytest.raises(FaultError, match="outage"):
        faults.on("outage", share=0.5)


def test_listeners_hear_of_every_switch() -> None:
    """On, off, and on again with other options are told once each, and off only of what was on."""
    faults = Faults()
    heard: list[tuple[str, bool]] = []
    faults.listeners.append(lambda fault: heard.append((type(fault).__name__, bool(faults.state()))))
    faults.off("outage")
    faults.on("outage")
    faults.off("outage")
    faults.off("outage")
    assert heard == [("Outage", True), ("Outage", False)]
    faults.on("drop", share=0.5)
    faults.on("drop", share=0.1)
    assert heard[2:] == [("Drop", True), ("Drop", True)]


@pytest.mark.parametrize("name", ["drop", "malformed"])
def test_a_seed_repeats_a_fault(name: str) -> None:
    """The same seed damages the same messages, another seed others."""

    def run(seed: int) -> tuple[bytes, ...]:
        faults = Faults(seed)
        faults.on(name, share=0.4)
        return sent(faults).messages

    assert run(1) == run(1) != run(2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("drop", {"share": 1.5}),
        ("drop", {}),
        ("latency", {"latency_ms": -1.0}),
        ("latency", {"latency_ms": float("nan")}),
        ("stall", {"hours": 1.0}),
        ("gremlin", {}),
    ],
)
def test_a_fault_refuses_what_it_does_not_take(name: str, options: dict[str, float]) -> None:
    """An unknown fault or option is refused in a sentence that names it, and nothing is switched."""
    faults = Faults()
    with pytest.raises(FaultError, match=name):
        faults.on(name, **options)
    assert not faults.active


def test_every_kind_can_be_listed() -> None:
    """The table of faults is what `on` accepts by name."""
    assert set(KINDS) == {"latency", "stall", "reset", "drop", "malformed", "outage"}
