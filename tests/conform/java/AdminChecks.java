import static java.util.Collections.singleton;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** AdminClient. */
final class AdminChecks {
  interface Body {
    void run(Admin admin) throws Exception;
  }

  private static void add(Checks checks, String name, Body body) {
    checks.add(name, () -> {
      try (Admin admin = Kafka.admin()) {
        body.run(admin);
      }
    });
  }

  static void add(Checks checks) {
    add(checks, "topics are created with configs, described, listed and deleted", admin -> {
      String topic = Kafka.topic(1) + "-made";
      NewTopic wanted = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "60000"));
      CreateTopicsResult created = admin.createTopics(singleton(wanted));
      created.all().get();
      Checks.equal(3, created.numPartitions(topic).get());
      Checks.equal("60000", created.config(topic).get().get("retention.ms").value());
      failsWith(TopicExistsException.class, () -> admin.createTopics(singleton(wanted)).all().get());
      Checks.that(admin.listTopics().names().get().contains(topic), "it is listed");
      TopicDescription description = admin.describeTopics(singleton(topic)).allTopicNames().get().get(topic);
      Checks.equal(3, description.partitions().size());
      Checks.equal(created.topicId(topic).get(), description.topicId());
      Checks.equal(1, description.partitions().get(0).isr().size());
      admin.deleteTopics(singleton(topic)).all().get();
      Checks.that(!admin.listTopics().names().get().contains(topic), "it is gone");
      failsWith(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(singleton(topic)).all().get());
    });
    add(checks, "a bad topic name and a bad config are refused", admin -> {
      failsWith(InvalidTopicException.class,
          () -> admin.createTopics(singleton(new NewTopic("a b", 1, (short) 1))).all().get());
      NewTopic bad = new NewTopic("bad-config", 1, (short) 1).configs(Map.of("no.such", "1"));
      failsWith(InvalidConfigurationException.class, () -> admin.createTopics(singleton(bad)).all().get());
    });
    add(checks, "partitions are added, never taken away", admin -> {
      String topic = Kafka.topic(1);
      admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
      Checks.equal(4, admin.describeTopics(singleton(topic)).allTopicNames().get().get(topic).partitions().size());
      failsWith(InvalidPartitionsException.class,
          () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
    });
    add(checks, "topic configs are described and altered", admin -> {
      ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, Kafka.topic(1));
      alter(admin, resource, "max.message.bytes", "2000000", AlterConfigOp.OpType.SET);
      ConfigEntry entry = config(admin, resource).get("max.message.bytes");
      Checks.equal("2000000", entry.value());
      Checks.equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, entry.source());
      Checks.equal(ConfigEntry.ConfigType.INT, entry.type());
      alter(admin, resource, "max.message.bytes", "", AlterConfigOp.OpType.DELETE);
      Checks.that(config(admin, resource).get("max.message.bytes").isDefault(), "it is the default again");
      failsWith(InvalidConfigurationException.class,
          () -> alter(admin, resource, "retention.ms", "soon", AlterConfigOp.OpType.SET));
    });
    add(checks, "broker configs are described", admin -> {
      Config config = config(admin, new ConfigResource(ConfigResource.Type.BROKER, "1"));
      Checks.equal("1048588", config.get("message.max.bytes").value());
    });
    add(checks, "the cluster is described", admin -> {
      Checks.equal(1, admin.describeCluster().nodes().get().size());
      Checks.equal(1, admin.describeCluster().controller().get().id());
      Checks.that(!admin.describeCluster().clusterId().get().isEmpty(), "it has an id");
    });
    add(checks, "offsets are listed by every spec", admin -> {
      String topic = Kafka.topic(1);
      Kafka.send(topic, 10, "m");
      TopicPartition partition = new TopicPartition(topic, 0);
      Checks.equal(0L, offset(admin, partition, OffsetSpec.earliest()));
      Checks.equal(10L, offset(admin, partition, OffsetSpec.latest()));
      Checks.that(offset(admin, partition, OffsetSpec.maxTimestamp()) >= 0, "one has the largest timestamp");
      Checks.equal(0L, offset(admin, partition, OffsetSpec.forTimestamp(0)));
      Checks.equal(-1L, offset(admin, partition, OffsetSpec.forTimestamp(Long.MAX_VALUE)));
    });
    add(checks, "records are deleted", admin -> {
      String topic = Kafka.topic(1);
      Kafka.send(topic, 10, "m", "batch.size", 0);
      TopicPartition partition = new TopicPartition(topic, 0);
      Checks.equal(4L, admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(4)))
          .lowWatermarks().get(partition).get().lowWatermark());
      Checks.equal(4L, offset(admin, partition, OffsetSpec.earliest()));
      Checks.equal(4L, Kafka.read(topic, 6).get(0).offset());
    });
    add(checks, "groups are listed, described and deleted, their offsets altered", AdminChecks::groups);
    add(checks, "access rules are said to be disabled", admin ->
        failsWith(SecurityDisabledException.class, () -> admin.describeAcls(AclBindingFilter.ANY).values().get()));
    add(checks, "no partition is being reassigned", admin ->
        Checks.that(admin.listPartitionReassignments().reassignments().get().isEmpty(), "none"));
  }

  private static void groups(Admin admin) throws Exception {
    String topic = Kafka.topic(1);
    TopicPartition partition = new TopicPartition(topic, 0);
    Kafka.send(topic, 5, "m");
    try (KafkaConsumer<byte[], byte[]> consumer = Kafka.consumer("group.id", topic)) {
      consumer.subscribe(singleton(topic));
      Kafka.poll(consumer, 5);
      consumer.commitSync();
      ConsumerGroupDescription group = admin.describeConsumerGroups(singleton(topic)).all().get().get(topic);
      Checks.equal("STABLE", group.state().name());
      Checks.equal(singleton(partition), group.members().iterator().next().assignment().topicPartitions());
      failsWith(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(singleton(topic)).all().get());
    }
    Checks.that(admin.listConsumerGroups().all().get().stream().anyMatch(g -> g.groupId().equals(topic)), "it is listed");
    Checks.equal(5L, committed(admin, topic).get(partition).offset());
    admin.alterConsumerGroupOffsets(topic, Map.of(partition, new OffsetAndMetadata(2))).all().get();
    Checks.equal(2L, committed(admin, topic).get(partition).offset());
    admin.deleteConsumerGroupOffsets(topic, singleton(partition)).all().get();
    Checks.that(committed(admin, topic).isEmpty(), "no offset is left");
    admin.alterConsumerGroupOffsets(topic, Map.of(partition, new OffsetAndMetadata(2))).all().get();
    admin.deleteConsumerGroups(singleton(topic)).all().get();
    Checks.that(admin.listConsumerGroups().all().get().stream().noneMatch(g -> g.groupId().equals(topic)), "it is gone");
  }

  private static Map<TopicPartition, OffsetAndMetadata> committed(Admin admin, String group) throws Exception {
    return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
  }

  private static long offset(Admin admin, TopicPartition partition, OffsetSpec spec) throws Exception {
    return admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get().offset();
  }

  private static Config config(Admin admin, ConfigResource resource) throws Exception {
    return admin.describeConfigs(singleton(resource)).all().get().get(resource);
  }

  private static void alter(Admin admin, ConfigResource resource, String name, String value, AlterConfigOp.OpType type)
      throws ExecutionException, InterruptedException {
    AlterConfigOp change = new AlterConfigOp(new ConfigEntry(name, value), type);
    admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
  }

  private static void failsWith(Class<?> type, Checks.Body body) {
    Throwable why = Checks.failure(body);
    Checks.that(type.isInstance(why), type.getSimpleName() + ": " + why);
  }
}
