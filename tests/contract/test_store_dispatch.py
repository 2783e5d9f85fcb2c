"""Dispatch instructions in a store: the leader writes them, people answer them, the next leader finds both."""

from __future__ import annotations

from dataclasses import replace

from scheduler.core.dispatch import Answer, Instruction, State, Verdict
from tests.store_sides import Side
from tests.stores import T0, after, tick

ACK = Answer(verdict=Verdict.ACKNOWLEDGED, by="ada", at=T0, note="seen")
TOLD = Instruction(
    number=3,
    source="dso",
    giver_id="event-7",
    issued_at=T0,
    received_at=after(1),
    starts_at=after(60),
    due_at=after(90),
    ends_at=after(3600),
    limit_w=40_000.0,
    provenance="notice 118",
    state=State.ACCEPTED,
    accepted_by="barq",
)
OVER = replace(TOLD, number=4, state=State.ENDED, why="its giver ended it", over_at=after(9))


async def test_what_goes_on_is_there_for_who_leads_next(side: Side) -> None:
    """Whole; what is over is not, but its number is never given again."""
    epoch = await side.store.claim("a", at=T0)
    await side.store.record(tick(1, epoch, instructions=(TOLD, OVER)))
    stored = await side.store.load()
    assert stored.instructions == (TOLD,)
    assert stored.last_instruction == 4


async def test_what_people_say_comes_once_and_stays(side: Side) -> None:
    """With the intents after it; what the leader writes later takes none of it away."""
    epoch = await side.store.claim("a", at=T0)
    await side.store.record(tick(1, epoch, instructions=(TOLD,)))
    side.answer("d3", ACK)
    news = await side.store.intents(0)
    assert news.answers == {"d3": ACK}
    assert (await side.store.intents(news.seq)).answers == {}

    kept = replace(TOLD, state=State.COMPLIED, complied_at=after(61), complied_w=39_000.0)
    await side.store.record(tick(2, epoch, instructions=(kept,)))
    assert (await side.store.load()).instructions == (replace(kept, answer=ACK),)
