// kafkajs: topics made and described, records with keys and headers, an idempotent producer, a group, offsets set back.
// argument: HOST:PORT
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(`${process.env.NODE_HOME}/package.json`)
const { Kafka, logLevel, CompressionTypes, ConfigResourceTypes } = require('kafkajs')

const kafka = new Kafka({ clientId: 'golden', brokers: [process.argv[2]], logLevel: logLevel.NOTHING })
const topic = 'pages'

async function administer() {
  const admin = kafka.admin()
  await admin.connect()
  assert(await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] }))
  assert(!(await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] })))
  await admin.fetchTopicMetadata({ topics: [topic] })
  await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['cleanup.policy', 'retention.ms'] }],
  })
  await admin.disconnect()
}

async function produce() {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  await producer.send({
    topic,
    messages: [
      { key: 'k', value: 'v', headers: { colour: 'grün' }, timestamp: '1700000000123' },
      { key: 'gone', value: null, timestamp: '1700000000124' },
    ],
  })
  await producer.send({ topic, messages: [{ value: 'three', timestamp: '1700000000125' }] })
  await producer.disconnect()
  const plain = kafka.producer()
  await plain.connect()
  const messages = Array.from({ length: 4 }, (_, i) => ({ value: `packed ${i}`, timestamp: `170000000100${i}` }))
  await plain.send({ topic, acks: 1, compression: CompressionTypes.GZIP, messages })
  await plain.disconnect()
}

async function consume(count) {
  const consumer = kafka.consumer({ groupId: 'readers', maxWaitTimeInMs: 200 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    let seen = 0
    consumer.run({ eachMessage: async () => { if (++seen === count) resolve() } }).catch(reject)
  })
  await new Promise(resolve => setTimeout(resolve, 300))
  await consumer.disconnect()
}

// Does not delete the topic: kafkajs asks for all topics right behind that, when Kafka may still know this one.
async function lookUp() {
  const admin = kafka.admin()
  await admin.connect()
  await admin.fetchTopicOffsets(topic)
  await admin.fetchTopicOffsetsByTimestamp(topic, 1700000000125)
  await admin.fetchOffsets({ groupId: 'readers', topics: [topic] })
  await admin.setOffsets({ groupId: 'readers', topic, partitions: [{ partition: 0, offset: '2' }] })
  await admin.describeGroups(['readers'])
  await admin.listGroups()
  await admin.deleteGroups(['readers'])
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] })
  await admin.disconnect()
}

await administer()
await produce()
await consume(7)
await lookUp()
