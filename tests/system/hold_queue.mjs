// hold_queue.mjs NODE_DIR HOST:PORT QUEUE COUNT: takes so many messages with amqplib and acknowledges every other one, each by
// itself, so that no two neighbours are alike. Says "taken" when all have come; holds the rest until stdin ends.
import {once} from 'node:events';
import {createRequire} from 'node:module';

const [home, address, queue, count] = process.argv.slice(2);
const amqp = createRequire(`${home}/package.json`)('amqplib');

const connection = await amqp.connect(`amqp://guest:guest@${address}/?heartbeat=0`);
connection.on('error', () => {});  // the broker may be killed before this ends
const channel = await connection.createChannel();
await new Promise((resolve) => {
  let left = Number(count);
  channel.consume(queue, (message) => {
    if (message.fields.deliveryTag % 2 === 0) channel.ack(message);
    if (--left === 0) resolve();
  });
});
console.log('taken');
await once(process.stdin.resume(), 'end');
process.exit(0);
