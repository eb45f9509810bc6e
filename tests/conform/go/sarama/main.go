// sarama: sarama BOOTSTRAP, or sarama member TOPIC BOOTSTRAP for a group member that is killed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"polylog/conform/internal/check"
)

var bootstrap = []string{os.Args[len(os.Args)-1]}

func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V3_6_0_0
	config.Producer.Return.Successes = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	return config
}

func topic(partitions int32) string {
	name := check.Topic()
	admin := check.Must(sarama.NewClusterAdmin(bootstrap, config()))
	defer admin.Close()
	check.OK(admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
	return name
}

func send(name string, count int, prefix string, change func(*sarama.Config)) []*sarama.ProducerMessage {
	config := config()
	if change != nil {
		change(config)
	}
	producer := check.Must(sarama.NewSyncProducer(bootstrap, config))
	defer producer.Close()
	messages := make([]*sarama.ProducerMessage, count)
	for i := range messages {
		messages[i] = &sarama.ProducerMessage{Topic: name, Value: sarama.StringEncoder(fmt.Sprintf("%s%d", prefix, i))}
	}
	check.OK(producer.SendMessages(messages))
	return messages
}

func read(name string, count int, offset int64) (messages []*sarama.ConsumerMessage) {
	consumer := check.Must(sarama.NewConsumer(bootstrap, config()))
	defer consumer.Close()
	partition := check.Must(consumer.ConsumePartition(name, 0, offset))
	defer partition.Close()
	timeout := time.After(check.Limit)
	for len(messages) < count {
		select {
		case message := <-partition.Messages():
			messages = append(messages, message)
		case <-timeout:
			check.That(false, "%d of %d records came", len(messages), count)
		}
	}
	return messages
}

func main() {
	if os.Args[1] == "member" {
		newMember(os.Args[2])
		time.Sleep(time.Minute)
		return
	}
	producing()
	groups()
	admin()
	check.RunAndExit()
}

func producing() {
	for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP,
		sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		check.Add("codec "+codec.String()+" comes back", func() {
			name := topic(1)
			send(name, 500, "a text that repeats itself, that repeats itself ",
				func(config *sarama.Config) { config.Producer.Compression = codec })
			for i, message := range read(name, 500, sarama.OffsetOldest) {
				check.Equal(fmt.Sprintf("a text that repeats itself, that repeats itself %d", i), string(message.Value))
			}
		})
	}
	check.Add("an idempotent producer keeps order", func() {
		name := topic(1)
		send(name, 2000, "m", func(config *sarama.Config) {
			config.Producer.Idempotent = true
			config.Producer.RequiredAcks = sarama.WaitForAll
			config.Net.MaxOpenRequests = 1
			config.Producer.Flush.MaxMessages = 50
		})
		for i, message := range read(name, 2000, sarama.OffsetOldest) {
			check.Equal(fmt.Sprintf("m%d", i), string(message.Value))
		}
	})
	check.Add("records sent without acks arrive", func() {
		name := topic(1)
		send(name, 100, "m", func(config *sarama.Config) { config.Producer.RequiredAcks = sarama.NoResponse })
		read(name, 100, sarama.OffsetOldest)
	})
	check.Add("a record keeps key, headers and timestamp", func() {
		name := topic(1)
		producer := check.Must(sarama.NewSyncProducer(bootstrap, config()))
		defer producer.Close()
		header := sarama.RecordHeader{Key: []byte("colour"), Value: []byte("grün")}
		check.Must2(producer.SendMessage(&sarama.ProducerMessage{Topic: name, Key: sarama.StringEncoder("k"),
			Value: sarama.StringEncoder("v"), Headers: []sarama.RecordHeader{header}, Timestamp: time.UnixMilli(1700000000123)}))
		message := read(name, 1, sarama.OffsetOldest)[0]
		check.Equal("k", string(message.Key))
		check.Equal("grün", string(message.Headers[0].Value))
		check.Equal(int64(1700000000123), message.Timestamp.UnixMilli())
	})
	check.Add("every protocol version that sarama knows works", func() {
		for _, version := range []sarama.KafkaVersion{sarama.V1_0_0_0, sarama.V2_0_0_0, sarama.V2_8_0_0, sarama.V4_0_0_0} {
			name := topic(1)
			send(name, 10, "m", func(config *sarama.Config) { config.Version = version })
			read(name, 10, sarama.OffsetOldest)
		}
	})
	check.Add("consuming starts at an offset", func() {
		name := topic(1)
		send(name, 10, "m", nil)
		check.Equal("m7", string(read(name, 3, 7)[0].Value))
	})
}

type member struct {
	mutex  sync.Mutex
	owned  []int32
	values map[string]bool
	group  sarama.ConsumerGroup
	cancel context.CancelFunc
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, partitions := range session.Claims() {
		m.owned = partitions
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.owned = nil
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		session.MarkMessage(message, "")
		m.mutex.Lock()
		m.values[string(message.Value)] = true
		m.mutex.Unlock()
	}
	return nil
}

func newMember(name string) *member {
	m := &member{values: map[string]bool{}}
	m.group = check.Must(sarama.NewConsumerGroup(bootstrap, name, config()))
	within, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() {
		for within.Err() == nil {
			_ = m.group.Consume(within, []string{name}, m)
		}
	}()
	return m
}

func (m *member) close() {
	m.cancel()
	_ = m.group.Close()
}

func (m *member) owns(count int) func() bool {
	return func() bool {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		return len(m.owned) == count
	}
}

func (m *member) has(count int) func() bool {
	return func() bool {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		return len(m.values) == count
	}
}

func groups() {
	check.Add("members share partitions as they come and go", func() {
		name := topic(4)
		first, second := newMember(name), newMember(name)
		check.Until("both share", func() bool { return first.owns(2)() && second.owns(2)() })
		second.close()
		check.Until("the first has all", first.owns(4))
		first.close()
	})
	check.Add("the partitions of a killed member go to the others", func() {
		name := topic(4)
		victim := check.Again("member", name, bootstrap[0])
		defer check.Kill(victim)
		time.Sleep(2 * time.Second)
		other := newMember(name)
		check.Until("both share", other.owns(2))
		check.Kill(victim)
		check.Until("the other has all", other.owns(4))
		send(name, 100, "m", func(config *sarama.Config) { config.Producer.Partitioner = sarama.NewRoundRobinPartitioner })
		check.Until("all is read", other.has(100))
		other.close()
	})
	check.Add("a group goes on where it committed", func() {
		name := topic(1)
		send(name, 10, "a", nil)
		first := newMember(name)
		check.Until("ten records", first.has(10))
		first.close()
		send(name, 5, "b", nil)
		second := newMember(name)
		check.Until("five records", second.has(5))
		time.Sleep(time.Second)
		check.That(second.has(5)(), "no more than five")
		second.close()
	})
}

func addAdmin(name string, run func(sarama.ClusterAdmin)) {
	check.Add(name, func() {
		client := check.Must(sarama.NewClusterAdmin(bootstrap, config()))
		defer client.Close()
		run(client)
	})
}

func admin() {
	addAdmin("topics are created, described, listed and deleted", func(client sarama.ClusterAdmin) {
		name := topic(3)
		err := client.CreateTopic(name, &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1}, false)
		check.That(errors.Is(err, sarama.ErrTopicAlreadyExists), "%v", err)
		check.Equal(3, len(check.Must(client.DescribeTopics([]string{name}))[0].Partitions))
		check.OK(client.CreatePartitions(name, 5, nil, false))
		check.Equal(int32(5), check.Must(client.ListTopics())[name].NumPartitions)
		check.OK(client.DeleteTopic(name))
		_, found := check.Must(client.ListTopics())[name]
		check.That(!found, "it is gone")
	})
	addAdmin("configs are altered and described", func(client sarama.ClusterAdmin) {
		name, value := topic(1), "60000"
		check.OK(client.AlterConfig(sarama.TopicResource, name, map[string]*string{"retention.ms": &value}, false))
		resource := sarama.ConfigResource{Type: sarama.TopicResource, Name: name, ConfigNames: []string{"retention.ms"}}
		check.Equal("60000", check.Must(client.DescribeConfig(resource))[0].Value)
	})
	addAdmin("records are deleted and offsets found", func(client sarama.ClusterAdmin) {
		name := topic(1)
		send(name, 10, "m", nil)
		check.OK(client.DeleteRecords(name, map[int32]int64{0: 4}))
		connection := check.Must(sarama.NewClient(bootstrap, config()))
		defer connection.Close()
		check.Equal(int64(4), check.Must(connection.GetOffset(name, 0, sarama.OffsetOldest)))
		check.Equal(int64(10), check.Must(connection.GetOffset(name, 0, sarama.OffsetNewest)))
	})
	addAdmin("groups are listed, described and deleted", func(client sarama.ClusterAdmin) {
		name := topic(1)
		send(name, 3, "m", nil)
		running := newMember(name)
		check.Until("three records", running.has(3))
		check.Equal("Stable", check.Must(client.DescribeConsumerGroups([]string{name}))[0].State)
		running.close()
		_, found := check.Must(client.ListConsumerGroups())[name]
		check.That(found, "it is listed")
		offsets := check.Must(client.ListConsumerGroupOffsets(name, map[string][]int32{name: {0}}))
		check.Equal(int64(3), offsets.GetBlock(name, 0).Offset)
		check.OK(client.DeleteConsumerGroup(name))
	})
}
