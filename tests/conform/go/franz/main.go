// franz-go: franz BOOTSTRAP, or franz member TOPIC BOOTSTRAP for a group member that is killed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"polylog/conform/internal/check"
)

var bootstrap = os.Args[len(os.Args)-1]
var forever = context.Background()

func client(options ...kgo.Opt) *kgo.Client {
	return check.Must(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap)}, options...)...))
}

func topic(partitions int32) string {
	name := check.Topic()
	admin := kadm.NewClient(client())
	defer admin.Close()
	check.OK(check.Must(admin.CreateTopic(forever, partitions, 1, nil, name)).Err)
	return name
}

func send(name string, count int, prefix string, options ...kgo.Opt) []*kgo.Record {
	producer := client(options...)
	defer producer.Close()
	records := make([]*kgo.Record, count)
	for i := range records {
		records[i] = &kgo.Record{Topic: name, Value: fmt.Appendf(nil, "%s%d", prefix, i)}
	}
	check.OK(producer.ProduceSync(forever, records...).FirstErr())
	return records
}

func read(name string, count int, options ...kgo.Opt) []*kgo.Record {
	consumer := client(append(options, kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	defer consumer.Close()
	return poll(consumer, count)
}

func poll(consumer *kgo.Client, count int) (records []*kgo.Record) {
	within, cancel := context.WithTimeout(forever, check.Limit)
	defer cancel()
	for len(records) < count {
		fetches := consumer.PollFetches(within)
		check.OK(fetches.Err())
		records = append(records, fetches.Records()...)
	}
	check.Equal(count, len(records))
	return records
}

func main() {
	if os.Args[1] == "member" {
		member(os.Args[2], nil).run(time.Minute)
		return
	}
	producing()
	consuming()
	groups()
	admin()
	check.RunAndExit()
}

func producing() {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		check.Add("codec "+codec+" comes back", func() {
			name := topic(1)
			send(name, 500, "a text that repeats itself, that repeats itself ", kgo.ProducerBatchCompression(codecs[codec]))
			for i, record := range read(name, 500) {
				check.Equal(fmt.Sprintf("a text that repeats itself, that repeats itself %d", i), string(record.Value))
			}
		})
	}
	check.Add("a record keeps key, headers, timestamp, null and empty", func() {
		name := topic(1)
		producer := client()
		defer producer.Close()
		when := time.UnixMilli(1700000000123)
		header := kgo.RecordHeader{Key: "colour", Value: []byte("grün")}
		sent := &kgo.Record{Topic: name, Key: []byte("k"), Value: []byte{}, Timestamp: when, Headers: []kgo.RecordHeader{header}}
		check.OK(producer.ProduceSync(forever, sent, &kgo.Record{Topic: name, Key: []byte("gone")}).FirstErr())
		got := read(name, 2)
		check.Equal("k", string(got[0].Key))
		check.That(got[0].Value != nil && len(got[0].Value) == 0, "empty stays empty")
		check.That(got[0].Timestamp.Equal(when), "timestamp %v", got[0].Timestamp)
		check.Equal("grün", string(got[0].Headers[0].Value))
		check.That(got[1].Value == nil, "null stays null")
	})
	check.Add("an idempotent producer keeps order over many batches", func() {
		name := topic(1)
		sent := send(name, 5000, "m", kgo.ProducerBatchMaxBytes(512), kgo.MaxBufferedRecords(10000))
		for i, record := range sent {
			check.Equal(int64(i), record.Offset)
		}
		for i, record := range read(name, 5000) {
			check.Equal(fmt.Sprintf("m%d", i), string(record.Value))
		}
	})
	check.Add("records sent with one ack and with none arrive", func() {
		name := topic(1)
		send(name, 100, "m", kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
		send(name, 100, "m", kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
		read(name, 200)
	})
	check.Add("a transactional producer is refused as not authorized", func() {
		producer := client(kgo.TransactionalID("t"))
		defer producer.Close()
		err := producer.BeginTransaction()
		check.That(err != nil && strings.Contains(err.Error(), "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"), "%v", err)
	})
	check.Add("a topic is made by producing when that is allowed", func() {
		check.Equal(int64(0), send(check.Topic(), 1, "m", kgo.AllowAutoTopicCreation())[0].Offset)
	})
	check.Add("a topic is not made when that is not allowed", func() {
		producer := client(kgo.UnknownTopicRetries(1))
		defer producer.Close()
		err := producer.ProduceSync(forever, &kgo.Record{Topic: check.Topic(), Value: []byte("x")}).FirstErr()
		check.That(errors.Is(err, kerr.UnknownTopicOrPartition), "%v", err)
	})
}

func consuming() {
	check.Add("consuming starts at an offset, after a time and at the end", func() {
		name := topic(1)
		producer := client()
		defer producer.Close()
		for i := range 10 {
			record := &kgo.Record{Topic: name, Value: fmt.Appendf(nil, "m%d", i), Timestamp: time.UnixMilli(1700000000000 + int64(i)*1000)}
			check.OK(producer.ProduceSync(forever, record).FirstErr())
		}
		at := func(offset kgo.Offset, count int) string {
			consumer := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: offset}}))
			defer consumer.Close()
			return string(poll(consumer, count)[0].Value)
		}
		check.Equal("m7", at(kgo.NewOffset().At(7), 3))
		check.Equal("m4", at(kgo.NewOffset().AfterMilli(1700000003500), 6))
		check.Equal("m8", at(kgo.NewOffset().AtEnd().Relative(-2), 2))
	})
	check.Add("small fetches bring every record of several partitions", func() {
		name := topic(6)
		send(name, 2000, "0123456789012345678901234567890123456789", kgo.ProducerBatchMaxBytes(512),
			kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		read(name, 2000, kgo.FetchMaxBytes(3000), kgo.FetchMaxPartitionBytes(500))
	})
	check.Add("a record reaches a waiting consumer at once", func() {
		name := topic(1)
		consumer := client(kgo.ConsumeTopics(name), kgo.FetchMaxWait(20*time.Second))
		defer consumer.Close()
		go func() {
			time.Sleep(time.Second)
			send(name, 1, "live")
		}()
		begin := time.Now()
		poll(consumer, 1)
		check.That(time.Since(begin) < 6*time.Second, "it took %s", time.Since(begin))
	})
}

// A member of the group named after the topic, and what it has been given and read.
type groupMember struct {
	client   *kgo.Client
	mutex    sync.Mutex
	owned    map[int32]bool
	values   map[string]bool
	finished chan struct{}
}

func member(name string, balancer kgo.GroupBalancer, options ...kgo.Opt) *groupMember {
	m := &groupMember{owned: map[int32]bool{}, values: map[string]bool{}, finished: make(chan struct{})}
	change := func(owns bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.mutex.Lock()
			defer m.mutex.Unlock()
			for _, partition := range parts[name] {
				if owns {
					m.owned[partition] = true
				} else {
					delete(m.owned, partition)
				}
			}
		}
	}
	options = append(options, kgo.ConsumerGroup(name), kgo.ConsumeTopics(name), kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(300*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)))
	if balancer != nil {
		options = append(options, kgo.Balancers(balancer))
	}
	m.client = client(options...)
	return m
}

func (m *groupMember) run(limit time.Duration) {
	within, cancel := context.WithTimeout(forever, limit)
	defer cancel()
	defer close(m.finished)
	for within.Err() == nil {
		fetches := m.client.PollFetches(within)
		if fetches.IsClientClosed() {
			return
		}
		m.mutex.Lock()
		fetches.EachRecord(func(record *kgo.Record) { m.values[string(record.Value)] = true })
		m.mutex.Unlock()
	}
}

func (m *groupMember) close() {
	m.client.Close()
	<-m.finished
}

func shares(members []*groupMember, partitions int) bool {
	count, union := 0, map[int32]bool{}
	for _, m := range members {
		m.mutex.Lock()
		if len(m.owned) == 0 {
			count += partitions + 1
		}
		for partition := range m.owned {
			count++
			union[partition] = true
		}
		m.mutex.Unlock()
	}
	return count == partitions && len(union) == partitions
}

func groups() {
	balancers := []kgo.GroupBalancer{kgo.RangeBalancer(), kgo.RoundRobinBalancer(), kgo.StickyBalancer(), kgo.CooperativeStickyBalancer()}
	for _, balancer := range balancers {
		check.Add("members share partitions as they come and go, "+balancer.ProtocolName(), func() {
			name := topic(6)
			var members []*groupMember
			for range 3 {
				members = append(members, member(name, balancer))
				go members[len(members)-1].run(3 * check.Limit)
			}
			check.Until("three share", func() bool { return shares(members, 6) })
			members[2].close()
			members = members[:2]
			check.Until("two share", func() bool { return shares(members, 6) })
			send(name, 60, "m", kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
			check.Until("all is read", func() bool {
				seen := 0
				for _, m := range members {
					m.mutex.Lock()
					seen += len(m.values)
					m.mutex.Unlock()
				}
				return seen == 60
			})
			for _, m := range members {
				m.close()
			}
		})
	}
	check.Add("the partitions of a killed member go to the others", func() {
		name := topic(4)
		send(name, 400, "m", kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		victim := check.Again("member", name, bootstrap)
		defer check.Kill(victim)
		time.Sleep(2 * time.Second)
		other := member(name, nil)
		go other.run(3 * check.Limit)
		owns := func(count int) func() bool {
			return func() bool {
				other.mutex.Lock()
				defer other.mutex.Unlock()
				return len(other.owned) == count
			}
		}
		check.Until("both share", owns(2))
		check.Kill(victim)
		check.Until("the other has all", owns(4))
		other.close()
	})
	check.Add("a group goes on where it committed", func() {
		name := topic(1)
		send(name, 10, "a")
		first := member(name, nil, kgo.DisableAutoCommit())
		poll(first.client, 10)
		check.OK(first.client.CommitUncommittedOffsets(forever))
		first.client.Close()
		send(name, 5, "b")
		second := member(name, nil)
		check.Equal("b0", string(poll(second.client, 5)[0].Value))
		second.client.Close()
	})
	check.Add("a static member that comes back keeps the generation", func() {
		name := topic(1)
		send(name, 1, "a")
		first := member(name, nil, kgo.InstanceID("one"), kgo.DisableAutoCommit())
		poll(first.client, 1)
		_, generation := first.client.GroupMetadata()
		first.client.Close()
		second := member(name, nil, kgo.InstanceID("one"), kgo.DisableAutoCommit())
		poll(second.client, 1)
		_, again := second.client.GroupMetadata()
		check.Equal(generation, again)
		second.client.Close()
	})
}
