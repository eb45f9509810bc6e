// @confluentinc/kafka-javascript: confluent_suite.mjs HOME BOOTSTRAP, where HOME has its node_modules.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const [home, bootstrap] = process.argv.slice(2)
const { KafkaJS: { Kafka, CompressionTypes, logLevel } } = createRequire(`${home}/package.json`)('@confluentinc/kafka-javascript')
const kafka = new Kafka({ kafkaJS: { brokers: [bootstrap], logLevel: logLevel.NOTHING } })
const checks = new Map()
let topics = 0

async function until(what, condition, seconds = 30) {
  const deadline = Date.now() + seconds * 1000
  while (!(await condition())) {
    assert(Date.now() < deadline, `not within ${seconds} s - ${what}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

async function withAdmin(run) {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await run(admin)
  } finally {
    await admin.disconnect()
  }
}

async function topic(numPartitions = 1) {
  const name = `cjs-${++topics}`
  await withAdmin(admin => admin.createTopics({ topics: [{ topic: name, numPartitions }] }))
  return name
}

async function send(name, values, options = {}) {
  const producer = kafka.producer({ kafkaJS: options })
  await producer.connect()
  await producer.send({ topic: name, messages: values.map(value => ({ value })) })
  await producer.disconnect()
}

async function member(name) {
  const consumer = kafka.consumer({ kafkaJS: { groupId: name, fromBeginning: true, sessionTimeout: 6000 } })
  const values = []
  await consumer.connect()
  await consumer.subscribe({ topic: name })
  await consumer.run({ eachMessage: async ({ message }) => { values.push(message.value?.toString()) } })
  return { consumer, values }
}

const numbered = (prefix, count) => Array.from({ length: count }, (_, i) => `${prefix}${i}`)

for (const codec of ['None', 'GZIP', 'SNAPPY', 'LZ4', 'ZSTD']) {
  checks.set(`codec ${codec} comes back`, async () => {
    const name = await topic()
    const values = numbered('a text that repeats itself, that repeats itself ', 300)
    await send(name, values, { compression: CompressionTypes[codec] })
    const reading = await member(name)
    await until('all records', () => reading.values.length === 300)
    assert.deepEqual(reading.values, values)
    await reading.consumer.disconnect()
  })
}

checks.set('an idempotent producer sends', async () => {
  const name = await topic()
  await send(name, numbered('m', 100), { idempotent: true })
  const reading = await member(name)
  await until('all records', () => reading.values.length === 100)
  await reading.consumer.disconnect()
})

checks.set('members share partitions as they come and go', async () => {
  const name = await topic(4)
  const [first, second] = [await member(name), await member(name)]
  await until('both share', () => [first, second].every(m => m.consumer.assignment().length === 2))
  await second.consumer.disconnect()
  await until('the first has all', () => first.consumer.assignment().length === 4)
  await first.consumer.disconnect()
})

checks.set('a group goes on where it committed', async () => {
  const name = await topic()
  await send(name, numbered('a', 10))
  const first = await member(name)
  await until('ten records', () => first.values.length === 10)
  await first.consumer.disconnect()
  await send(name, numbered('b', 5))
  const second = await member(name)
  await until('five records', () => second.values.length === 5)
  assert.deepEqual(second.values, numbered('b', 5))
  await second.consumer.disconnect()
})

checks.set('topics and groups are listed and deleted', async () => {
  const name = await topic(3)
  await withAdmin(async admin => {
    assert((await admin.listTopics()).includes(name))
    await admin.deleteTopics({ topics: [name] })
    await until('it is gone', async () => !(await admin.listTopics()).includes(name))
  })
})

let failed = false
for (const [name, run] of checks) {
  try {
    await run()
    console.log(`ok ${name}`)
  } catch (error) {
    failed = true
    console.log(`not ok ${name}: ${error}`.replaceAll('\n', ' '))
  }
}
process.exit(failed ? 1 : 0)
