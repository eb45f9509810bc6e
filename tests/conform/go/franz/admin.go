package main

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"polylog/conform/internal/check"
)

func addAdmin(name string, run func(*kadm.Client)) {
	check.Add(name, func() {
		client := kadm.NewClient(client())
		defer client.Close()
		run(client)
	})
}

func admin() {
	addAdmin("topics are created, described, listed and deleted", func(client *kadm.Client) {
		name := check.Topic()
		value := "60000"
		created := check.Must(client.CreateTopic(forever, 3, 1, map[string]*string{"retention.ms": &value}, name))
		check.Equal(int32(3), created.NumPartitions)
		check.Equal("60000", *created.Configs["retention.ms"].Value)
		_, err := client.CreateTopic(forever, 3, 1, nil, name)
		check.That(errors.Is(err, kerr.TopicAlreadyExists), "%v", err)
		check.Equal(3, len(check.Must(client.ListTopics(forever, name))[name].Partitions))
		check.OK(check.Must(client.DeleteTopic(forever, name)).Err)
		check.That(!check.Must(client.ListTopics(forever)).Has(name), "it is gone")
	})
	addAdmin("partitions are added", func(client *kadm.Client) {
		name := topic(1)
		check.OK(check.Must(client.CreatePartitions(forever, 2, name)).Error())
		check.Equal(3, len(check.Must(client.ListTopics(forever, name))[name].Partitions))
	})
	addAdmin("configs are altered and described", func(client *kadm.Client) {
		name := topic(1)
		value := "1234567"
		changes := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &value}}
		check.OK(check.Must(client.AlterTopicConfigs(forever, changes, name))[0].Err)
		described := check.Must(check.Must(client.DescribeTopicConfigs(forever, name)).On(name, nil))
		found := ""
		for _, config := range described.Configs {
			if config.Key == "max.message.bytes" {
				found = *config.Value
			}
		}
		check.Equal("1234567", found)
		check.That(len(check.Must(client.DescribeBrokerConfigs(forever, 1))[0].Configs) > 5, "the broker has configs")
	})
	addAdmin("offsets are listed", func(client *kadm.Client) {
		name := topic(1)
		send(name, 10, "m")
		check.Equal(int64(0), check.Must(client.ListStartOffsets(forever, name))[name][0].Offset)
		check.Equal(int64(10), check.Must(client.ListEndOffsets(forever, name))[name][0].Offset)
		check.Equal(int64(10), check.Must(client.ListCommittedOffsets(forever, name))[name][0].Offset)
		check.Equal(int64(0), check.Must(client.ListOffsetsAfterMilli(forever, 1, name))[name][0].Offset)
	})
	addAdmin("records are deleted", func(client *kadm.Client) {
		name := topic(1)
		send(name, 10, "m")
		offsets := kadm.Offsets{}
		offsets.AddOffset(name, 0, 4, -1)
		check.Equal(int64(4), check.Must(client.DeleteRecords(forever, offsets))[name][0].LowWatermark)
		check.Equal(int64(4), check.Must(client.ListStartOffsets(forever, name))[name][0].Offset)
	})
	addAdmin("group offsets are committed, fetched, deleted, the group too", func(client *kadm.Client) {
		name := topic(1)
		offsets := kadm.Offsets{}
		offsets.AddOffset(name, 0, 7, -1)
		check.OK(client.CommitAllOffsets(forever, name, offsets))
		committed, _ := check.Must(client.FetchOffsets(forever, name)).Lookup(name, 0)
		check.Equal(int64(7), committed.At)
		check.That(check.Must(client.ListGroups(forever))[name].Group == name, "it is listed")
		check.Equal("Empty", check.Must(client.DescribeGroups(forever, name))[name].State)
		lag := check.Must(client.Lag(forever, name))
		check.OK(lag.Error())
		set := kadm.TopicsSet{}
		set.Add(name, 0)
		check.OK(check.Must(client.DeleteOffsets(forever, name, set)).Error())
		check.OK(client.CommitAllOffsets(forever, name, offsets))
		check.OK(check.Must(client.DeleteGroup(forever, name)).Err)
	})
	addAdmin("the cluster is described", func(client *kadm.Client) {
		metadata := check.Must(client.BrokerMetadata(forever))
		check.Equal(int32(1), metadata.Controller)
		check.That(metadata.Cluster != "", "it has an id")
		versions := check.Must(client.ApiVersions(forever))
		check.Equal(1, len(versions))
	})
}
