// AMQP 0-9-1 with amqplib, run by test_amqplib.py against a broker of its own: POLYLOG_AMQP=HOST:PORT.
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import {afterEach, test} from 'node:test';

// The packages are outside this tree: POLYLOG_NODE names the directory that holds node_modules.
const require = createRequire(`${process.env.POLYLOG_NODE}/package.json`);
const amqp = require('amqplib');

const url = (query = 'heartbeat=0') => `amqp://guest:guest@${process.env.POLYLOG_AMQP}/?${query}`;
const opened = [];

async function connect(query) {
  const connection = await amqp.connect(url(query));
  connection.on('error', () => {});
  opened.push(connection);
  return connection;
}

async function openChannel(connection, confirms = false) {
  const channel = confirms ? await connection.createConfirmChannel() : await connection.createChannel();
  channel.on('error', () => {});
  return channel;
}

async function channelWith(queue, options = {}) {
  const channel = await openChannel(await connect(), true);
  await channel.assertQueue(queue, {durable: true, ...options});
  return channel;
}

function collect(channel, queue, count, options) {
  return new Promise((resolve, reject) => {
    const got = [];
    channel.consume(queue, (message) => {
      got.push(message);
      if (got.length === count) resolve(got);
    }, options).catch(reject);
  });
}

const numbers = (count) => Array.from({length: count}, (_, i) => String(i));
const texts = (messages) => messages.map((message) => message.content.toString());

afterEach(async () => {
  await Promise.all(opened.splice(0).map((connection) => connection.close().catch(() => {})));
});

test('publish, confirm, consume and ack', async () => {
  const channel = await channelWith('node-work');
  for (const text of numbers(500)) channel.sendToQueue('node-work', Buffer.from(text), {persistent: true});
  await channel.waitForConfirms();
  const got = await collect(channel, 'node-work', 500);
  assert.deepEqual(texts(got), numbers(500));
  channel.ack(got.at(-1), true);
  assert.equal((await channel.checkQueue('node-work')).messageCount, 0);
});

test('get answers false when the queue is empty', async () => {
  const channel = await channelWith('node-get');
  assert.equal(await channel.get('node-get'), false);
  channel.sendToQueue('node-get', Buffer.from('x'));
  await channel.waitForConfirms();
  const message = await channel.get('node-get');
  assert.equal(message.content.toString(), 'x');
  assert.equal(message.fields.redelivered, false);
  channel.nack(message);
  assert.equal((await channel.get('node-get', {noAck: true})).fields.redelivered, true);
});

test('purge and delete count messages', async () => {
  const channel = await channelWith('node-gone');
  for (const text of numbers(3)) channel.sendToQueue('node-gone', Buffer.from(text));
  await channel.waitForConfirms();
  assert.equal((await channel.purgeQueue('node-gone')).messageCount, 3);
  assert.equal((await channel.deleteQueue('node-gone')).messageCount, 0);
});

test('asserting a queue differently closes the channel with 406', async () => {
  const connection = await connect();
  const channel = await openChannel(connection);
  await channel.assertQueue('node-same', {durable: true});
  await assert.rejects(channel.assertQueue('node-same', {durable: false}), /406 \(PRECONDITION-FAILED\).*inequivalent arg 'durable'/);
  await (await openChannel(connection)).checkQueue('node-same');
});

test('an exclusive queue is locked to others with 405', async () => {
  await (await openChannel(await connect())).assertQueue('node-mine', {exclusive: true});
  const other = await openChannel(await connect());
  await assert.rejects(other.assertQueue('node-mine', {exclusive: true}), /405 \(RESOURCE-LOCKED\)/);
});

test('mandatory messages that reach no queue are returned before their confirm', async () => {
  const channel = await channelWith('node-unused');
  const events = [];
  channel.on('return', (message) => events.push(`return ${message.fields.replyCode} ${message.content}`));
  await new Promise((resolve) => channel.publish('', 'node-nowhere', Buffer.from('x'), {mandatory: true}, () => {
    events.push('confirm');
    resolve();
  }));
  assert.deepEqual(events, ['return 312 x', 'confirm']);
});

test('prefetch limits what is open', async () => {
  const channel = await channelWith('node-prefetch');
  for (const text of numbers(10)) channel.sendToQueue('node-prefetch', Buffer.from(text));
  await channel.waitForConfirms();
  await channel.prefetch(3);
  const got = [];
  await channel.consume('node-prefetch', (message) => got.push(message));
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(got.length, 3);
  channel.ack(got[0]);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(got.length, 4);
});

test('deleting a queue cancels its consumers', async () => {
  const channel = await channelWith('node-cancelled');
  const cancelled = new Promise((resolve) => channel.consume('node-cancelled', (message) => {
    if (message === null) resolve();
  }));
  await channel.checkQueue('node-cancelled');
  await (await openChannel(await connect())).deleteQueue('node-cancelled');
  await cancelled;
});

test('unacknowledged messages come back redelivered after the channel closed', async () => {
  const channel = await channelWith('node-back');
  for (const text of numbers(5)) channel.sendToQueue('node-back', Buffer.from(text));
  await channel.waitForConfirms();
  await collect(channel, 'node-back', 5);
  await channel.close();
  const got = await collect(await openChannel(await connect()), 'node-back', 5);
  assert.deepEqual(texts(got), numbers(5));
  assert.ok(got.every((message) => message.fields.redelivered));
});

test('headers and properties come back', async () => {
  const channel = await channelWith('node-headers');
  const headers = {text: 'grün', number: 7, yes: true, list: [1, 'two'], table: {inner: 'x'}};
  channel.sendToQueue('node-headers', Buffer.alloc(0), {headers, contentType: 'a/b', messageId: 'm', priority: 2, expiration: '60000'});
  const message = await channel.waitForConfirms().then(() => channel.get('node-headers', {noAck: true}));
  assert.deepEqual({...message.properties.headers}, headers);
  assert.equal(message.properties.contentType, 'a/b');
  assert.equal(message.properties.messageId, 'm');
  assert.equal(message.properties.priority, 2);
  assert.equal(message.properties.expiration, '60000');
  assert.equal(message.content.length, 0);
});

test('small frames carry large bodies', async () => {
  const channel = await openChannel(await connect('heartbeat=0&frameMax=4096'), true);
  await channel.assertQueue('node-frames', {durable: true});
  const body = Buffer.alloc(300_000, 'abc');
  channel.sendToQueue('node-frames', body);
  await channel.waitForConfirms();
  assert.ok((await channel.get('node-frames', {noAck: true})).content.equals(body));
});

test('a stream is read from its first message', async () => {
  const channel = await channelWith('node-stream', {arguments: {'x-queue-type': 'stream'}});
  for (const text of numbers(20)) channel.sendToQueue('node-stream', Buffer.from(text));
  await channel.waitForConfirms();
  await channel.prefetch(100);
  const got = await collect(channel, 'node-stream', 20, {arguments: {'x-stream-offset': 'first'}});
  assert.deepEqual(texts(got), numbers(20));
  assert.deepEqual(got.map((message) => message.properties.headers['x-stream-offset']), numbers(20).map(Number));
});

test('a wrong password is refused', async () => {
  await assert.rejects(amqp.connect(`amqp://guest:wrong@${process.env.POLYLOG_AMQP}/`), /403|ACCESS-REFUSED/);
});

test('heartbeats keep a connection alive', async () => {
  const connection = await connect('heartbeat=1');
  let closed = false;
  connection.on('close', () => { closed = true; });
  await new Promise((resolve) => setTimeout(resolve, 4000));
  assert.equal(closed, false);
  await openChannel(connection);
});
