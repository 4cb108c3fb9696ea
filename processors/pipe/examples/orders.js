#!/usr/bin/env node
// Looks up the customer of each order, many at once: answers go out in the order in which they are ready.
'use strict';

const readline = require('node:readline');
const { setTimeout: wait } = require('node:timers/promises');

// Stands for any slow call: a database, an HTTP service.
async function customerOf(order) {
  await wait(order.delay ?? 10);
  if (order.customer === undefined) {
    throw new Error('the order names no customer');
  }
  return order.customer;
}

async function handle(message) {
  let order;
  try {
    order = JSON.parse(message.body ?? Buffer.from(message.body_base64, 'base64').toString());
  } catch (error) {
    return { verdict: 'reject', reason: `no order: ${error.message}` };
  }
  try {
    console.error(`an order of ${await customerOf(order)}`); // goes to the worker's log
    return { verdict: 'ack' };
  } catch (error) {
    return { verdict: 'retry', reason: error.message };
  }
}

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const message = JSON.parse(line);
  const answer = await handle(message);
  process.stdout.write(`${JSON.stringify({ id: message.id, ...answer })}\n`);
});
