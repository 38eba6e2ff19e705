"""The outside world at its worst: each fault on a real connection, and peers that speak nonsense."""

import asyncio
import contextlib
import json
import random
import signal
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from ib_async import IB, LimitOrder, MarketOrder, Stock

from simvenues.ibkr import IbkrGateway
from simvenues.truth import truth

Open = Callable[..., AbstractAsyncContextManager[IbkrGateway]]
Connect = Callable[..., AbstractAsyncContextManager[IB]]
Until = Callable[[Callable[[], object]], Awaitable[None]]
SPY = Stock(conId=1001, symbol="SPY", exchange="SMART", currency="USD")


def framed(*fields: object) -> bytes:
    payload = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(payload)) + payload


def greeting(client_id: int) -> bytes:
    versions = b"v157..178"
    return b"API\0" + struct.pack(">I", len(versions)) + versions + framed(71, 2, client_id, "")


async def read_until(reader: asyncio.StreamReader, wanted: bytes) -> bytes:
    """Everything up to and with the wanted bytes."""
    got = b""
    async with asyncio.timeout(10):
        while wanted not in got:
            data = await reader.read(65_536)
            assert data, f"the gateway closed before {wanted!r}: {got!r}"
            got += data
    return got


def test_latency_delays_and_keeps_the_order(open_gateway: Open, connect: Connect, until: Until) -> None:
    """Under latency with jitter a stream of orders still ends in the right states."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            gateway.faults.on("latency", latency_ms=40.0, jitter_ms=20.0)
            loop = asyncio.get_running_loop()
            earliest_s = loop.time() + 0.04
            trades = [ib.placeOrder(SPY, MarketOrder("BUY", 1)) for _ in range(10)]
            await until(lambda: any(trade.orderStatus.status != "PendingSubmit" for trade in trades))
            assert loop.time() >= earliest_s
            await until(lambda: all(trade.orderStatus.status == "Filled" for trade in trades))
            assert all(trade.log[1].status == "Submitted" for trade in trades)

    asyncio.run(main())


def test_a_stall_holds_and_then_delivers_everything(open_gateway: Open, connect: Connect, until: Until) -> None:
    """An order sent in a stall reaches the exchange only afterwards, and its answers reach the client."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            loop = asyncio.get_running_loop()
            now_s = loop.time()
            gateway.faults.on("stall", now_s, stall_s=0.3)
            trade = ib.placeOrder(SPY, MarketOrder("BUY", 1))
            await until(lambda: truth(gateway.exchange)["orders"])
            assert loop.time() >= now_s + 0.3
            await until(lambda: trade.orderStatus.status == "Filled")

    asyncio.run(main())


@pytest.mark.parametrize("after_messages", [0, 4])
def test_a_reset_cuts_and_the_client_may_return(
    open_gateway: Open, connect: Connect, until: Until, after_messages: int
) -> None:
    """The connection breaks, at once or after its messages; the order placed before is found after a reconnect."""

    async def main() -> None:
        async with open_gateway() as gateway:
            async with connect(gateway) as ib:
                trade = ib.placeOrder(SPY, LimitOrder("BUY", 1, 100.0, orderRef="kept"))
                await until(lambda: trade.orderStatus.status == "Submitted")
                gateway.faults.on("reset", after_messages=after_messages)
                if after_messages:
                    ib.reqAllOpenOrdersAsync()
                    ib.client.reqPositions()  # type: ignore[no-untyped-call]  # the client's own method
                await until(lambda: not ib.isConnected())
            async with connect(gateway) as ib:
                assert [found.order.orderRef for found in ib.openTrades()] == ["kept"]

    asyncio.run(main())


def test_dropped_answers_do_not_change_the_truth(open_gateway: Open, connect: Connect, until: Until) -> None:
    """When every answer is lost the client knows nothing and the exchange has the fill: a reconnect shows it."""

    async def main() -> None:
        async with open_gateway() as gateway:
            async with connect(gateway) as ib:
                gateway.faults.on("drop", share=1.0)
                trade = ib.placeOrder(SPY, MarketOrder("BUY", 2, orderRef="unheard"))
                await until(lambda: truth(gateway.exchange)["executions"])
                assert trade.orderStatus.status == "PendingSubmit"
            gateway.faults.off("drop")
            async with connect(gateway) as ib:
                assert [fill.execution.orderRef for fill in ib.fills()] == ["unheard"]

    asyncio.run(main())


def test_malformed_answers_leave_the_gateway_working(open_gateway: Open, connect: Connect, until: Until) -> None:
    """The client drowns in broken messages; without the fault the same gateway serves a whole session."""

    async def main() -> None:
        async with open_gateway() as gateway:
            async with connect(gateway) as ib:
                gateway.faults.on("malformed", share=0.7)
                for _ in range(20):
                    ib.placeOrder(SPY, MarketOrder("BUY", 1))
                await until(lambda: len(truth(gateway.exchange)["orders"]) == 20)
                gateway.faults.off("malformed")
            async with connect(gateway) as ib:
                assert [position.position for position in ib.positions()] == [20.0]

    asyncio.run(main())


@pytest.mark.parametrize(
    "request_fields",
    [
        (3, 5, "x"),
        (3, 5, 0, "SPY"),
        (1, 11, "nine"),
        (9, 8, 4, "x"),
        (7, 3),
        (62, 1, "x", "All", "NetLiquidation"),
        ("hello",),
        (),
    ],
)
def test_a_broken_request_is_answered_with_an_error(open_gateway: Open, request_fields: tuple[object, ...]) -> None:
    """A request that cannot be read is error 320, and the connection goes on."""

    async def main() -> None:
        async with open_gateway() as gateway:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(greeting(5))
            await read_until(reader, b"9\x001\x001\0")
            writer.write(framed(*request_fields))
            await read_until(reader, b"\x00320\0")
            writer.write(framed(49, 1))
            await read_until(reader, b"49\x001\0")
            writer.close()

    asyncio.run(main())


def test_order_ids_go_on_after_a_reconnect(open_gateway: Open, connect: Connect, until: Until) -> None:
    """The first valid id of a returning client lies above every id that it used."""

    async def main() -> None:
        async with open_gateway() as gateway:
            async with connect(gateway, 5) as ib:
                trade = ib.placeOrder(SPY, MarketOrder("BUY", 1))
                await until(lambda: trade.orderStatus.status == "Filled")
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(greeting(5))
            await read_until(reader, f"9\x001\0{trade.order.orderId + 1}\0".encode())
            writer.close()

    asyncio.run(main())


def test_a_peer_without_the_greeting_is_hung_up_on(open_gateway: Open) -> None:
    """Frames alone are not enough: the first four bytes must be the API's own."""

    async def main() -> bytes:
        async with open_gateway() as gateway:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(b"NOPE" + greeting(1)[4:])
            answer = b""
            with contextlib.suppress(ConnectionError):
                answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return answer

    assert asyncio.run(main()) == b""


def test_random_bytes_do_not_end_the_gateway(open_gateway: Open, connect: Connect, until: Until) -> None:
    """Two hundred peers send noise, half of them after a correct greeting; a real client is served all the same."""
    rng = random.Random(20)
    unhandled: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        async with open_gateway() as gateway, connect(gateway, 1) as ib:
            for count in range(200):
                reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
                noise = rng.randbytes(rng.randrange(1, 200))
                if count % 4 == 1:
                    writer.write(greeting(2) + noise)
                elif count % 4 == 3:
                    # Noise in a correct frame, behind the code of a real request.
                    code = rng.choice([1, 3, 4, 6, 7, 9, 62, 76, 78, 91])
                    payload = f"{code}\0".encode() + noise.replace(b"\x01", b"\0") + b"\0"
                    writer.write(greeting(2) + struct.pack(">I", len(payload)) + payload)
                else:
                    writer.write(noise)
                writer.write_eof()
                # The gateway may hang up hard on noise: for the peer that is a reset.
                with contextlib.suppress(ConnectionError):
                    await asyncio.wait_for(reader.read(), 10)
                writer.close()
                await until(lambda: 2 not in gateway.clients)
            trade = ib.placeOrder(SPY, MarketOrder("BUY", 1))
            await until(lambda: trade.orderStatus.status == "Filled")

    asyncio.run(main())
    assert unhandled == []


def test_the_process_serves_and_ends_on_a_signal() -> None:
    """`python -m simvenues ibkr` says where it listens, answers on both ports and ends with status 0 on SIGTERM."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "simvenues", "ibkr", "--seed", "3", "--step-ms", "50",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
            assert (ready["ready"], ready["seed"]) == (True, 3)
            ib = IB()
            await ib.connectAsync("127.0.0.1", ready["port"], clientId=1)
            reader, writer = await asyncio.open_connection("127.0.0.1", ready["control_port"])
            writer.write(b'{"do": "status"}\n')
            assert json.loads(await reader.readline())["status"]["clients"] == [1]
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 20) == 0
            ib.disconnect()
            writer.close()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    asyncio.run(main())


def test_a_host_on_the_network_is_refused() -> None:
    """The simulator listens on loopback only, and says so with status 2."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "simvenues", "ibkr", "--host", "0.0.0.0",  # noqa: S104  # what must be refused
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            _, errors = await asyncio.wait_for(process.communicate(), 20)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 2
        assert b"no loopback address" in errors

    asyncio.run(main())
