"""aio-pika on uvloop:  aio_pika_consumer.py URL QUEUE COUNT PREFETCH [sleep]

Acknowledges each message; with "sleep" only after a second of asyncio.sleep."""
import asyncio
import sys

import aio_pika
import uvloop

from measure import Measure


async def main(url, queue_name, count, prefetch, pause):
    measure = Measure()
    done = asyncio.Event()
    acknowledged = 0

    async def on_message(message):
        nonlocal acknowledged
        measure.message(len(message.body))
        if pause:
            await asyncio.sleep(pause)
        await message.ack()
        acknowledged += 1
        if acknowledged == count:
            done.set()

    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=prefetch)
    queue = await channel.get_queue(queue_name, ensure=False)
    await queue.consume(on_message)
    await done.wait()
    measure.print()
    await connection.close()


uvloop.install()
asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), 1.0 if sys.argv[5:] == ["sleep"] else 0))
