// Node's amqplib, an ack for each message:  node amqplib.js URL QUEUE COUNT PREFETCH
'use strict';
const fs = require('fs');
const amqp = require('amqplib');

const [url, queue, countText, prefetchText] = process.argv.slice(2);
const count = Number(countText);

const now = () => Number(process.hrtime.bigint()) / 1e9;
const cpu = () => { const used = process.cpuUsage(); return (used.user + used.system) / 1e6; };
const peak = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]);

async function main() {
  const connection = await amqp.connect(url, { noDelay: true });
  const channel = await connection.createChannel();
  await channel.prefetch(Number(prefetchText));
  let messages = 0, bytes = 0, first = 0, firstCpu = 0;
  await new Promise((resolve) => channel.consume(queue, (message) => {
    if (messages++ === 0) {
      first = now();
      firstCpu = cpu();
    }
    bytes += message.content.length;
    channel.ack(message);
    if (messages === count) resolve();
  }));
  console.log(JSON.stringify({
    messages, bytes, first, seconds: now() - first, cpu: cpu() - firstCpu, peak_kib: peak(),
  }));
  await channel.close();
  await connection.close();
}

main().catch((error) => { console.error(`amqplib: ${error.message}`); process.exit(1); });
