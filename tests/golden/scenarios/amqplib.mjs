// amqplib: a classic and a quorum queue, confirms, consumers whose tag the broker names, acks, requeues, get, cancel.
// argument: HOST:PORT
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(`${process.env.NODE_HOME}/package.json`)
const amqp = require('amqplib')
const connection = await amqp.connect(`amqp://guest:guest@${process.argv[2]}/?heartbeat=0`)

async function workQueue(queue, options) {
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue(queue, options)
  for (const text of ['one', 'two', 'three']) {
    channel.sendToQueue(queue, Buffer.from(text), { persistent: true, headers: { colour: 'blue' }, messageId: text })
    await channel.waitForConfirms()
  }
  await channel.prefetch(1)  // else what comes after a requeue is a matter of luck
  const bodies = []
  let consumerTag
  await new Promise((resolve, reject) => {
    channel.consume(queue, message => {
      bodies.push(`${message.content}${message.fields.redelivered ? '!' : ''}`)
      if (bodies.length === 1) return channel.nack(message, false, true)
      channel.ack(message)
      if (bodies.length === 4) resolve()
    }).then(ok => { consumerTag = ok.consumerTag }, reject)
  })
  assert.equal(bodies.length, 4)
  await channel.cancel(consumerTag)
  assert.equal((await channel.checkQueue(queue)).messageCount, 0)
  assert.equal(await channel.get(queue), false)
  await channel.deleteQueue(queue)
  await channel.close()
}

async function refusal() {
  const channel = await connection.createChannel()
  channel.on('error', () => {})
  await assert.rejects(channel.checkQueue('absent'))
}

await workQueue('classic', { durable: true })
// With a delivery limit, as RabbitMQ 4 always has one, what is requeued returns to its place.
await workQueue('quorum', { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 5 } })
await refusal()
await connection.close()
