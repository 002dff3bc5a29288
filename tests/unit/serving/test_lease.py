"""Turns between processes, with real ones."""

import asyncio
import subprocess
import sys
from pathlib import Path

from shoal.serving.lease import POLL_S, Lease

HOLD = """
import sys
from pathlib import Path
from shoal.serving.lease import Lease
lease = Lease(Path(sys.argv[1]), "host")
assert lease.share()
print("held", flush=True)
sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


async def test_what_is_loaded_is_used_together_and_changed_alone(tmp_path: Path) -> None:
    one, other, third = (Lease(tmp_path, "host") for _ in range(3))
    assert one.share()
    assert other.share()
    entered = asyncio.Event()

    async def change() -> None:
        async with third.alone():
            entered.set()
            assert not one.share()

    task = asyncio.create_task(change())
    while not one.is_wanted():
        await asyncio.sleep(0.001)
    assert not Lease(tmp_path, "host").share(), "nobody else comes in before it"
    assert Lease(tmp_path, "elsewhere").share()
    one.release()
    assert not entered.is_set()
    other.release()
    await task
    assert third.is_held
    assert one.share()
    for lease in (one, other, third):
        lease.close()


async def test_a_dead_holder_has_no_turn(tmp_path: Path) -> None:
    process = holder(tmp_path)
    lease = Lease(tmp_path, "host")
    waiting = asyncio.create_task(enter(lease))
    while not Lease(tmp_path, "host").is_wanted():
        await asyncio.sleep(0.001)
    assert not waiting.done()
    process.kill()
    process.communicate()
    async with asyncio.timeout(10):
        await waiting
    lease.close()


async def test_a_cancelled_wait_leaves_the_gate_open(tmp_path: Path) -> None:
    one, other = Lease(tmp_path, "host"), Lease(tmp_path, "host")
    assert one.share()
    waiting = asyncio.create_task(enter(other))
    while not one.is_wanted():
        await asyncio.sleep(0.001)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not one.is_wanted()
    assert Lease(tmp_path, "host").share()


async def enter(lease: Lease) -> None:
    async with lease.alone():
        pass


async def test_a_turn_is_kept_until_nothing_runs_on_it_though_its_holder_wants_a_change_too(
    tmp_path: Path,
) -> None:
    one, other = Lease(tmp_path, "host"), Lease(tmp_path, "host")
    idle, order = asyncio.Event(), list[str]()

    async def change(lease: Lease, name: str) -> None:
        async with lease.alone(is_idle=idle.is_set):
            order.append(name)

    assert one.share()
    first = asyncio.create_task(change(other, "other"))
    while not one.is_wanted():
        await asyncio.sleep(0.001)
    second = asyncio.create_task(change(one, "one"))
    while not one.is_giving_way:
        await asyncio.sleep(0.001)
    await asyncio.sleep(5 * POLL_S)
    assert one.is_held
    assert not order
    idle.set()
    async with asyncio.timeout(10):
        await first
        other.release()
        await second
    assert order == ["other", "one"]
    assert not one.is_giving_way
    one.close()
    other.close()


async def test_who_is_alone_already_need_not_be_idle_to_change_what_is_loaded(tmp_path: Path) -> None:
    one, other = Lease(tmp_path, "host"), Lease(tmp_path, "host")
    assert one.share()
    async with asyncio.timeout(10), one.alone(is_idle=lambda: False):
        assert not other.share()
        assert not one.is_giving_way
    assert one.is_held
    assert other.share(), "afterwards it is shared"
    one.close()
    other.close()


async def test_trying_again_does_not_undo_ones_own_change(tmp_path: Path) -> None:
    one, other = Lease(tmp_path, "host"), Lease(tmp_path, "host")
    async with one.alone():
        assert not one.share()
        assert not one.is_wanted()
        assert not other.share()
    assert one.is_held
    one.close()
    other.close()
