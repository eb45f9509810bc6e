// segmentio/kafka-go: kafkago BOOTSTRAP, or kafkago member TOPIC BOOTSTRAP for a group member that is killed.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/segmentio/kafka-go"

	"polylog/conform/internal/check"
)

var bootstrap = os.Args[len(os.Args)-1]
var forever = context.Background()
var client = &kafka.Client{Addr: kafka.TCP(bootstrap), Timeout: check.Limit}

func topic(partitions int) string {
	name := check.Topic()
	wanted := kafka.TopicConfig{Topic: name, NumPartitions: partitions, ReplicationFactor: 1}
	created := check.Must(client.CreateTopics(forever, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{wanted}}))
	check.OK(created.Errors[name])
	return name
}

func send(name string, count int, prefix string, change func(*kafka.Writer)) {
	writer := &kafka.Writer{Addr: kafka.TCP(bootstrap), Topic: name, BatchTimeout: 5 * time.Millisecond,
		RequiredAcks: kafka.RequireAll}
	defer writer.Close()
	if change != nil {
		change(writer)
	}
	messages := make([]kafka.Message, count)
	for i := range messages {
		messages[i] = kafka.Message{Value: fmt.Appendf(nil, "%s%d", prefix, i)}
	}
	check.OK(writer.WriteMessages(forever, messages...))
}

func reader(name, group string) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{Brokers: []string{bootstrap}, Topic: name, GroupID: group,
		MaxWait: 200 * time.Millisecond, StartOffset: kafka.FirstOffset, SessionTimeout: 6 * time.Second,
		HeartbeatInterval: 300 * time.Millisecond, RebalanceTimeout: 6 * time.Second, JoinGroupBackoff: time.Second})
}

func read(from *kafka.Reader, count int) (messages []kafka.Message) {
	within, cancel := context.WithTimeout(forever, check.Limit)
	defer cancel()
	for len(messages) < count {
		messages = append(messages, check.Must(from.ReadMessage(within)))
	}
	return messages
}

func main() {
	if os.Args[1] == "member" {
		member := reader(os.Args[2], os.Args[2])
		for {
			_, err := member.ReadMessage(forever)
			check.OK(err)
		}
	}
	data()
	groups()
	admin()
	check.RunAndExit()
}

func data() {
	names := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	for codec, codecName := range names {
		check.Add("codec "+codecName+" comes back", func() {
			name := topic(1)
			send(name, 500, "a text that repeats itself, that repeats itself ",
				func(writer *kafka.Writer) { writer.Compression = kafka.Compression(codec) })
			from := reader(name, "")
			defer from.Close()
			for i, message := range read(from, 500) {
				check.Equal(fmt.Sprintf("a text that repeats itself, that repeats itself %d", i), string(message.Value))
			}
		})
	}
	check.Add("a record keeps key, headers and timestamp", func() {
		name := topic(1)
		writer := &kafka.Writer{Addr: kafka.TCP(bootstrap), Topic: name, RequiredAcks: kafka.RequireOne}
		defer writer.Close()
		check.OK(writer.WriteMessages(forever, kafka.Message{Key: []byte("k"), Value: []byte("v"),
			Time: time.UnixMilli(1700000000123), Headers: []kafka.Header{{Key: "colour", Value: []byte("grün")}}}))
		from := reader(name, "")
		defer from.Close()
		message := read(from, 1)[0]
		check.Equal("k", string(message.Key))
		check.Equal("grün", string(message.Headers[0].Value))
		check.Equal(int64(1700000000123), message.Time.UnixMilli())
	})
	check.Add("records sent without acks arrive", func() {
		name := topic(1)
		send(name, 100, "m", func(writer *kafka.Writer) { writer.RequiredAcks = kafka.RequireNone })
		from := reader(name, "")
		defer from.Close()
		read(from, 100)
	})
	check.Add("a reader sets its offset, by place and time", func() {
		name := topic(1)
		send(name, 10, "m", nil)
		from := reader(name, "")
		defer from.Close()
		check.OK(from.SetOffset(7))
		check.Equal("m7", string(read(from, 1)[0].Value))
		check.OK(from.SetOffsetAt(forever, time.UnixMilli(1)))
		check.Equal("m0", string(read(from, 1)[0].Value))
	})
	check.Add("a connection to the leader writes and reads", func() {
		name := topic(1)
		connection := check.Must(kafka.DialLeader(forever, "tcp", bootstrap, name, 0))
		defer connection.Close()
		check.Must(connection.WriteMessages(kafka.Message{Value: []byte("one")}, kafka.Message{Value: []byte("two")}))
		check.Equal("one", string(check.Must(connection.ReadMessage(1000)).Value))
		check.Equal(int64(2), check.Must(connection.ReadLastOffset()))
	})
}

func groups() {
	check.Add("a group goes on where it committed", func() {
		name := topic(1)
		send(name, 10, "a", nil)
		first := reader(name, name)
		read(first, 10)
		check.OK(first.Close())
		send(name, 5, "b", nil)
		second := reader(name, name)
		defer second.Close()
		check.Equal("b0", string(read(second, 5)[0].Value))
	})
	check.Add("the partitions of a killed member go to the others", func() {
		name := topic(4)
		victim := check.Again("member", name, bootstrap)
		defer check.Kill(victim)
		time.Sleep(2 * time.Second)
		other := reader(name, name)
		defer other.Close()
		members := func(count int) func() bool {
			return func() bool {
				described := check.Must(client.DescribeGroups(forever, &kafka.DescribeGroupsRequest{GroupIDs: []string{name}}))
				return described.Groups[0].GroupState == "Stable" && len(described.Groups[0].Members) == count
			}
		}
		check.Until("two members", members(2))
		check.Kill(victim)
		check.Until("one member", members(1))
		send(name, 100, "m", func(writer *kafka.Writer) { writer.Balancer = &kafka.RoundRobin{} })
		read(other, 100)
	})
}

func admin() {
	check.Add("topics are created, described and deleted", func() {
		name := topic(3)
		found := check.Must(client.Metadata(forever, &kafka.MetadataRequest{Topics: []string{name}}))
		check.Equal(3, len(found.Topics[0].Partitions))
		check.OK(check.Must(client.DeleteTopics(forever, &kafka.DeleteTopicsRequest{Topics: []string{name}})).Errors[name])
		check.Until("the client's cache knows that it is gone", func() bool {
			found = check.Must(client.Metadata(forever, &kafka.MetadataRequest{Topics: []string{name}}))
			return found.Topics[0].Error != nil
		})
	})
	check.Add("configs are altered and described", func() {
		name := topic(1)
		check.OK(firstOf(check.Must(client.IncrementalAlterConfigs(forever, &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: name,
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "retention.ms", Value: "60000",
					ConfigOperation: kafka.ConfigOperationSet}}}}})).Resources))
		described := check.Must(client.DescribeConfigs(forever, &kafka.DescribeConfigsRequest{
			Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: name,
				ConfigNames: []string{"retention.ms"}}}}))
		check.Equal("60000", described.Resources[0].ConfigEntries[0].ConfigValue)
	})
	check.Add("offsets are listed, committed and fetched", func() {
		name := topic(1)
		send(name, 10, "m", nil)
		listed := check.Must(client.ListOffsets(forever, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
			name: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0)}}}))
		check.Equal(int64(0), listed.Topics[name][0].FirstOffset)
		check.Equal(int64(10), listed.Topics[name][0].LastOffset)
	})
	check.Add("a producer id is given", func() {
		given := check.Must(client.InitProducerID(forever, &kafka.InitProducerIDRequest{TransactionTimeoutMs: 60000}))
		check.OK(given.Error)
		check.That(given.Producer.ProducerID >= 0, "an id")
	})
}

func firstOf(resources []kafka.IncrementalAlterConfigsResponseResource) error {
	return resources[0].Error
}
