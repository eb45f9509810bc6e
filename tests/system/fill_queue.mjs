// fill_queue.mjs NODE_DIR HOST:PORT QUEUE COUNT BODY_BYTES: publishes so many persistent messages with amqplib to a durable
// queue, waiting for no confirm but every CHUNK messages for those of the chunk before. A body is the message's number,
// filled up with zero bytes.
import {createRequire} from 'node:module';

const CHUNK = 5000;
const [home, address, queue, count, bodyBytes] = process.argv.slice(2);
const amqp = createRequire(`${home}/package.json`)('amqplib');

const connection = await amqp.connect(`amqp://guest:guest@${address}/?heartbeat=0`);
const channel = await connection.createConfirmChannel();
await channel.assertQueue(queue, {durable: true});

let next = 0;
const total = Number(count), minBytes = Number(bodyBytes);
function publishChunk() {
  const last = Math.min(total, next + CHUNK);
  let left = last - next;
  return new Promise((resolve, reject) => {
    const confirmed = (error) => {
      if (error) reject(error);
      if (--left === 0) resolve();
    };
    for (; next < last; ++next) {
      const number = String(next);
      const body = Buffer.alloc(Math.max(number.length, minBytes));
      body.write(number);
      channel.sendToQueue(queue, body, {persistent: true}, confirmed);
    }
  });
}

let before = Promise.resolve();
while (next < total) {
  const chunk = publishChunk();
  await before;
  before = chunk;
}
await before;
await connection.close();
