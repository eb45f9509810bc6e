// What kafkajs does against a broker, one case a run: kafkajs_suite.mjs BOOTSTRAP CASE. test_kafkajs.py runs each case
// that it finds in this file. A case throws when something is wrong.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../build/node/package.json', import.meta.url))
const { Kafka, logLevel, CompressionTypes, ConfigResourceTypes, AclResourceTypes, AclOperationTypes, AclPermissionTypes,
  ResourcePatternTypes } = require('kafkajs')

const [bootstrap, wanted] = process.argv.slice(2)
const kafka = new Kafka({ clientId: 'suite', brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 8 } })
const topic = `js-${wanted.replaceAll(/[^a-z]+/g, '-')}`.slice(0, 200)
const group = `${topic}-group`
const cases = new Map()
const closing = []

function test(name, run) {
  cases.set(name, run)
}

async function connected(client) {
  await client.connect()
  closing.push(client)
  return client
}

const producer = options => connected(kafka.producer({ allowAutoTopicCreation: true, ...options }))
const admin = () => connected(kafka.admin())

async function until(condition, what, seconds = 20) {
  const deadline = Date.now() + seconds * 1000
  while (!(await condition())) {
    assert(Date.now() < deadline, `not within ${seconds} s: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

// A running member of a group, with what it was given and what it has read.
async function member(groupId, options = {}) {
  const consumer = kafka.consumer({
    groupId, sessionTimeout: 6000, heartbeatInterval: 300, maxWaitTimeInMs: 100, ...options })
  const state = { consumer, records: [], assigned: undefined }
  consumer.on(consumer.events.GROUP_JOIN, event => { state.assigned = event.payload.memberAssignment[topic] ?? [] })
  await connected(consumer)
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommitInterval: 200,
    eachMessage: async ({ partition, message }) => { state.records.push({ partition, ...message }) },
  })
  return state
}

const values = state => state.records.map(record => record.value?.toString())
const numbered = (prefix, count) => Array.from({ length: count }, (_, i) => ({ value: `${prefix}${i}` }))
const create = async (numPartitions, options = {}) =>
  (await admin()).createTopics({ topics: [{ topic, numPartitions, ...options }] })
const shares = (members, partitions) =>
  members.every(m => m.assigned?.length > 0) &&
  members.flatMap(m => m.assigned).sort((a, b) => a - b).join() === [...Array(partitions).keys()].join()

// ---- producing and consuming

test('records come back with key, headers and timestamp', async () => {
  await (await producer()).send({
    topic,
    messages: [
      { key: 'k', value: 'v', headers: { colour: 'grün' }, timestamp: '1700000000123' },
      { key: 'gone', value: null },
    ],
  })
  const { records } = await member(group).then(async m => (await until(() => m.records.length === 2, 'two records'), m))
  assert.equal(records[0].key.toString(), 'k')
  assert.equal(records[0].value.toString(), 'v')
  assert.equal(records[0].headers.colour.toString(), 'grün')
  assert.equal(records[0].timestamp, '1700000000123')
  assert.equal(records[1].value, null)
})

test('a topic that is not there is made by producing to it', async () => {
  const [sent] = await (await producer()).send({ topic, messages: [{ value: 'first' }] })
  assert.equal(sent.errorCode, 0)
  assert.equal(sent.baseOffset, '0')
})

async function checkAcks(acks) {
  const sending = await producer()
  for (let i = 0; i < 10; ++i) await sending.send({ topic, acks, messages: numbered(`m${i}-`, 10) })
  const reading = await member(group)
  await until(() => reading.records.length === 100, '100 records')
}

test('records sent without acks arrive', () => checkAcks(0))
test('records sent with one ack arrive', () => checkAcks(1))

test('offsets go up without gaps over many batches', async () => {
  const sending = await producer()
  for (let i = 0; i < 20; ++i) {
    const [sent] = await sending.send({ topic, messages: numbered('m', 10) })
    assert.equal(sent.baseOffset, String(i * 10))
  }
})

test('gzip batches come back', async () => {
  await (await producer()).send({ topic, compression: CompressionTypes.GZIP, messages: numbered('x'.repeat(100), 500) })
  const reading = await member(group)
  await until(() => reading.records.length === 500, '500 records')
  assert.deepEqual(values(reading), numbered('x'.repeat(100), 500).map(m => m.value))
})

test('an idempotent producer sends', async () => {
  const sending = await producer({ idempotent: true, maxInFlightRequests: 1 })
  for (let i = 0; i < 10; ++i) {
    const [sent] = await sending.send({ topic, messages: numbered('m', 5) })
    assert.equal(sent.baseOffset, String(i * 5))
  }
})

test('a batch for many topics and partitions is stored', async () => {
  await create(4)
  const messages = Array.from({ length: 40 }, (_, i) => ({ value: `${i}`, partition: i % 4 }))
  const topicMessages = [{ topic, messages }, { topic: `${topic}-2`, messages: numbered('m', 3) }]
  const sent = await (await producer()).sendBatch({ topicMessages })
  assert.equal(sent.length, 5)
  const offsets = await (await admin()).fetchTopicOffsets(topic)
  assert.deepEqual(offsets.map(o => o.high), ['10', '10', '10', '10'])
})

test('a record reaches a waiting consumer', async () => {
  await create(1)
  const reading = await member(group)
  await until(() => reading.assigned, 'an assignment')
  const begin = Date.now()
  await (await producer()).send({ topic, messages: [{ value: 'live' }] })
  await until(() => reading.records.length === 1, 'the record')
  assert(Date.now() - begin < 3000)
})

test('a consumer seeks', async () => {
  await (await producer()).send({ topic, messages: numbered('m', 10) })
  const reading = await member(group)
  await until(() => reading.records.length === 10, 'ten records')
  reading.consumer.seek({ topic, partition: 0, offset: '7' })
  await until(() => reading.records.length === 13, 'three records again')
  assert.deepEqual(values(reading).slice(10), ['m7', 'm8', 'm9'])
})

// ---- groups

test('a group goes on where it committed', async () => {
  const sending = await producer()
  await sending.send({ topic, messages: numbered('a', 10) })
  const first = await member(group)
  await until(() => first.records.length === 10, 'ten records')
  await first.consumer.disconnect()  // commits and leaves
  await sending.send({ topic, messages: numbered('b', 5) })
  const second = await member(group)
  await until(() => second.records.length === 5, 'five records')
  assert.deepEqual(values(second), ['b0', 'b1', 'b2', 'b3', 'b4'])
})

test('members share the partitions as they come and go', async () => {
  await create(6)
  const all = [await member(group), await member(group), await member(group)]
  await until(() => shares(all, 6), 'three members share', 30)
  await all.pop().consumer.disconnect()
  await until(() => shares(all, 6), 'two members share', 30)
  await (await producer()).send({ topic, messages: numbered('m', 60) })
  await until(() => new Set(all.flatMap(values)).size === 60, 'all records are read')
})

test('the partitions of a member that stops go to the other', async () => {
  await create(2)
  const first = await member(group)
  await until(() => shares([first], 2), 'the first member has all', 30)
  const other = await member(group)
  await until(() => shares([first, other], 2), 'both share', 30)
  await first.consumer.stop()
  await (await producer()).send({ topic, messages: numbered('m', 20) })
  await until(() => shares([other], 2), 'the other has all', 30)
  await until(() => new Set(values(other)).size === 20, 'all records are read')
})

test('two groups read the same topic', async () => {
  await (await producer()).send({ topic, messages: numbered('m', 10) })
  const [one, two] = [await member(`${group}-1`), await member(`${group}-2`)]
  await until(() => one.records.length === 10 && two.records.length === 10, 'both have read all')
  assert.deepEqual(values(one), values(two))
})

// ---- admin

test('topics are created, listed and deleted', async () => {
  const client = await admin()
  assert.equal(await client.createTopics({ topics: [{ topic, numPartitions: 3 }] }), true)
  assert.equal(await client.createTopics({ topics: [{ topic, numPartitions: 3 }] }), false)
  assert((await client.listTopics()).includes(topic))
  const metadata = await client.fetchTopicMetadata({ topics: [topic] })
  assert.deepEqual(metadata.topics[0].partitions.map(p => p.partitionId).sort(), [0, 1, 2])
  await client.deleteTopics({ topics: [topic] })
  assert(!(await client.listTopics()).includes(topic))
})

test('partitions are added', async () => {
  await create(1)
  const client = await admin()
  await client.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
  assert.equal((await client.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length, 3)
  await assert.rejects(client.createPartitions({ topicPartitions: [{ topic, count: 2 }] }))
})

const config = async (client, name, type = ConfigResourceTypes.TOPIC, resource = topic) => {
  const described = await client.describeConfigs({ includeSynonyms: true, resources: [{ type, name: resource }] })
  return described.resources[0].configEntries.find(entry => entry.configName === name)
}

test('configs of a topic are described and altered', async () => {
  await create(1, { configEntries: [{ name: 'cleanup.policy', value: 'compact' }] })
  const client = await admin()
  const policy = await config(client, 'cleanup.policy')
  assert.equal(policy.configValue, 'compact')
  assert.equal(policy.isDefault, false)
  assert.deepEqual(policy.configSynonyms.map(s => s.configName), ['cleanup.policy', 'log.cleanup.policy'])
  const alter = configEntries => client.alterConfigs({
    validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] })
  await alter([{ name: 'retention.ms', value: '60000' }])
  assert.equal((await config(client, 'retention.ms')).configValue, '60000')
  assert.equal((await config(client, 'cleanup.policy')).configValue, 'delete')
  await assert.rejects(alter([{ name: 'no.such.config', value: '1' }]), { type: 'INVALID_CONFIG' })
})

test('configs of the broker are described', async () => {
  const entry = await config(await admin(), 'message.max.bytes', ConfigResourceTypes.BROKER, '1')
  assert.equal(entry.configValue, '1048588')
  assert.equal(entry.readOnly, false)
})

test('offsets of a topic are found by place and time', async () => {
  const messages = [1, 2, 3].map(i => ({ value: 'x', timestamp: `${1700000000000 + i * 1000}` }))
  const sending = await producer()
  for (const message of messages) await sending.send({ topic, messages: [message] })
  const client = await admin()
  assert.deepEqual(await client.fetchTopicOffsets(topic), [{ partition: 0, offset: '3', high: '3', low: '0' }])
  assert.deepEqual(await client.fetchTopicOffsetsByTimestamp(topic, 1700000001500), [{ partition: 0, offset: '1' }])
})

test('offsets of a group are set and reset', async () => {
  await (await producer()).send({ topic, messages: numbered('m', 10) })
  const client = await admin()
  const offset = async options =>
    (await client.fetchOffsets({ groupId: group, topics: [topic], ...options }))[0].partitions[0].offset
  assert.equal(await offset(), '-1')
  await client.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '6' }] })
  assert.equal(await offset(), '6')
  const reading = await member(group)
  await until(() => reading.records.length === 4, 'the records from 6 on')
  await reading.consumer.disconnect()
  await client.resetOffsets({ groupId: group, topic, earliest: true })
  assert.equal(await offset({ resolveOffsets: true }), '0')
})

test('records are deleted', async () => {
  await (await producer()).send({ topic, messages: numbered('m', 10) })
  const client = await admin()
  await client.fetchTopicOffsets(topic)  // kafkajs must have loaded the topic's metadata
  await client.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] })
  assert.equal((await client.fetchTopicOffsets(topic))[0].low, '4')
})

test('groups are listed, described and deleted', async () => {
  await create(1)
  const client = await admin()
  const running = await member(group)
  await until(() => running.assigned, 'an assignment')
  assert((await client.listGroups()).groups.some(g => g.groupId === group && g.protocolType === 'consumer'))
  const described = (await client.describeGroups([group])).groups[0]
  assert.equal(described.state, 'Stable')
  assert.equal(described.protocol, 'RoundRobinAssigner')
  assert.deepEqual(described.members.map(m => m.clientId), ['suite'])
  await assert.rejects(client.deleteGroups([group]), error => error.groups?.[0]?.error?.type === 'NON_EMPTY_GROUP')
  await running.consumer.disconnect()
  assert.equal((await client.describeGroups([group])).groups[0].state, 'Empty')
  assert.equal((await client.deleteGroups([group]))[0].errorCode, 0)
  assert.equal((await client.describeGroups([group])).groups[0].state, 'Dead')
})

test('the cluster is described', async () => {
  const cluster = await (await admin()).describeCluster()
  assert.equal(cluster.brokers.length, 1)
  assert.equal(cluster.controller, 1)
  assert.equal(`${cluster.brokers[0].host}:${cluster.brokers[0].port}`, bootstrap)
  assert(cluster.clusterId)
})

test('access rules are said to be disabled', async () => {
  await assert.rejects((await admin()).describeAcls({
    resourceType: AclResourceTypes.ANY, resourcePatternType: ResourcePatternTypes.ANY, operation: AclOperationTypes.ANY,
    permissionType: AclPermissionTypes.ANY }), { type: 'SECURITY_DISABLED' })
})

test('access rules can be neither made nor deleted', async () => {
  const client = await admin()
  const acl = {
    resourceType: AclResourceTypes.TOPIC, resourceName: topic, resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: 'User:someone', host: '*', operation: AclOperationTypes.ALL, permissionType: AclPermissionTypes.ALLOW }
  await assert.rejects(client.createAcls({ acl: [acl, acl] }), { type: 'SECURITY_DISABLED' })
  await assert.rejects(client.deleteAcls({ filters: [acl] }), { type: 'SECURITY_DISABLED' })
})

// What a web page for administrators asks, one after the other, over one connection.
test('the tour of an admin page', async () => {
  const client = await admin()
  await tourOfTopic(client)
  await tourOfConfigs(client)
  await tourOfOffsets(client)
  await tourOfGroup(client)
  await client.deleteTopics({ topics: [topic] })
  assert(!(await client.listTopics()).includes(topic))
  await assert.rejects(client.fetchTopicMetadata({ topics: [topic] }), { type: 'UNKNOWN_TOPIC_OR_PARTITION' })
})

async function tourOfTopic(client) {
  const configEntries = [{ name: 'cleanup.policy', value: 'compact' }, { name: 'compression.type', value: 'lz4' }]
  const wanted = { topic, numPartitions: 2, replicationFactor: 1, configEntries }
  assert.equal(await client.createTopics({ topics: [wanted], validateOnly: true, waitForLeaders: false }), true)
  assert(!(await client.listTopics()).includes(topic))
  assert.equal(await client.createTopics({ topics: [wanted], waitForLeaders: true }), true)
  await client.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
  const { brokers, controller } = await client.describeCluster()
  const { topics } = await client.fetchTopicMetadata()  // of all topics
  const { partitions } = topics.find(each => each.name === topic)
  assert.deepEqual(partitions.map(p => p.partitionId).sort(), [0, 1, 2])
  for (const { leader, replicas, isr, offlineReplicas, partitionErrorCode } of partitions) {
    assert.deepEqual([leader, replicas, isr, offlineReplicas ?? [], partitionErrorCode],
      [controller, [brokers[0].nodeId], [brokers[0].nodeId], [], 0])
  }
}

async function tourOfConfigs(client) {
  const broker = String((await client.describeCluster()).brokers[0].nodeId)
  const { resources } = await client.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }, { type: ConfigResourceTypes.BROKER, name: broker }],
  })
  const [ofTopic, ofBroker] = resources.map(each => new Map(each.configEntries.map(e => [e.configName, e.configValue])))
  assert.deepEqual([ofTopic.get('cleanup.policy'), ofTopic.get('compression.type')], ['compact', 'lz4'])
  assert.equal(ofBroker.get('node.id'), broker)
  await client.alterConfigs({ validateOnly: false, resources: [
    { type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'retention.ms', value: '86400000' }] }] })
  assert.equal((await config(client, 'retention.ms')).configValue, '86400000')
  assert.equal((await config(client, 'cleanup.policy')).configValue, 'delete')
}

async function tourOfOffsets(client) {
  const messages = [0, 1, 2].flatMap(partition => [1, 2, 3, 4].map(second => (
    { partition, value: `${partition}-${second}`, timestamp: `${1700000000000 + second * 1000}` })))
  const sending = await producer()
  for (const message of messages) await sending.send({ topic, messages: [message] })
  const sorted = offsets => offsets.sort((a, b) => a.partition - b.partition)
  const all = fields => [0, 1, 2].map(partition => ({ partition, ...fields }))
  assert.deepEqual(sorted(await client.fetchTopicOffsets(topic)), all({ offset: '4', high: '4', low: '0' }))
  assert.deepEqual(sorted(await client.fetchTopicOffsetsByTimestamp(topic, 1700000002500)), all({ offset: '2' }))
  assert.deepEqual(sorted(await client.fetchTopicOffsetsByTimestamp(topic, 1700000009000)), all({ offset: '4' }))
  await client.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '1' }, { partition: 2, offset: '-1' }] })
  assert.deepEqual(sorted(await client.fetchTopicOffsets(topic)).map(each => each.low), ['1', '0', '4'])
}

async function tourOfGroup(client) {
  const committed = async () => {
    const [{ partitions }] = await client.fetchOffsets({ groupId: group, topics: [topic] })
    return partitions.sort((a, b) => a.partition - b.partition).map(each => each.offset)
  }
  const reading = await member(group)
  await until(() => reading.records.length === 7, 'what was not deleted')
  assert((await client.listGroups()).groups.some(each => each.groupId === group))
  const [described] = (await client.describeGroups([group])).groups
  assert.deepEqual([described.errorCode, described.state, described.members.length], [0, 'Stable', 1])
  await assert.rejects(client.resetOffsets({ groupId: group, topic, earliest: true }))  // it has a member
  await reading.consumer.disconnect()
  assert.deepEqual(await committed(), ['4', '4', '-1'])  // nothing was left to read in the third
  await client.resetOffsets({ groupId: group, topic, earliest: true })
  const resolved = await client.fetchOffsets({ groupId: group, topics: [topic], resolveOffsets: true })
  assert.deepEqual(resolved[0].partitions.map(each => each.offset).sort(), ['0', '1', '4'])
  await client.setOffsets({ groupId: group, topic, partitions: [{ partition: 1, offset: '3' }] })
  assert.equal((await committed())[1], '3')
  assert.deepEqual((await client.fetchOffsets({ groupId: group })).map(each => each.topic), [topic])  // of all topics
  assert.deepEqual(await client.deleteGroups([group]), [{ groupId: group, errorCode: 0 }])
  assert(!(await client.listGroups()).groups.some(each => each.groupId === group))
}

test('no partition is being reassigned', async () => {
  await create(1)
  const listed = await (await admin()).listPartitionReassignments({ topics: [{ topic, partitions: [0] }] })
  assert.deepEqual(listed.topics, [])
})

const run = cases.get(wanted)
assert(run, `no such case: ${wanted}`)
try {
  await run()
} finally {
  await Promise.all(closing.map(client => client.disconnect().catch(() => {})))
}
process.exit(0)
