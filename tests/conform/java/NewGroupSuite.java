import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;

/** kafka-clients from 4.0 on, consumer groups of the new protocol: NewGroupSuite BOOTSTRAP. */
public final class NewGroupSuite {
  public static void main(String[] args) throws Exception {
    Kafka.bootstrap = args[0];
    Checks checks = new Checks();
    add(checks);
    checks.runAndExit();
  }

  private static void add(Checks checks) {
    for (String assignor : List.of("uniform", "range")) {
      checks.add("members share partitions as they come and go, " + assignor, () -> {
        String topic = Kafka.topic(6);
        List<Member> members = new ArrayList<>();
        for (int i = 0; i < 3; ++i) members.add(Member.of(topic, topic, "group.remote.assignor", assignor));
        Checks.until("three members share", Kafka.LIMIT, () -> shares(members, 6));
        members.remove(2).close();
        Checks.until("two members share", Kafka.LIMIT, () -> shares(members, 6));
        Kafka.send(topic, 60, "m", "batch.size", 0);
        Set<String> seen = new HashSet<>();
        Checks.until("all is read", Kafka.LIMIT, () -> {
          members.forEach(member -> { member.poll(); seen.addAll(member.seen); });
          return seen.size() == 60;
        });
        for (Member member : members) member.close();
      });
    }
    checks.add("a group goes on where it committed, and is described", () -> {
      String topic = Kafka.topic(2);
      Kafka.send(topic, 10, "a");
      try (Member first = Member.of(topic, topic)) {
        first.reads(10);
        first.consumer.commitSync();
        ConsumerGroupDescription group = describe(topic);
        Checks.equal(GroupType.CONSUMER, group.type());
        Checks.equal(GroupState.STABLE, group.groupState());
        Checks.equal(2, group.members().iterator().next().assignment().topicPartitions().size());
      }
      Checks.equal(GroupState.EMPTY, describe(topic).groupState());
      Kafka.send(topic, 5, "b");
      try (Member second = Member.of(topic, topic)) {
        second.reads(5);
        Checks.equal(new HashSet<>(List.of("b0", "b1", "b2", "b3", "b4")), second.seen);
      }
    });
    checks.add("a pattern finds topics that come later", () -> {
      String topic = Kafka.topic(1);
      try (Member member = new Member(topic)) {
        member.consumer.subscribe(new SubscriptionPattern(topic + "(-later)?"));
        Checks.until("the first", Kafka.LIMIT, () -> member.has(1));
        try (Admin admin = Kafka.admin()) {
          admin.createTopics(Set.of(new NewTopic(topic + "-later", 2, (short) 1))).all().get();
        }
        Checks.until("the one that came", Kafka.LIMIT, () -> member.has(3));
      }
    });
    checks.add("a static member comes back to its partitions", () -> {
      String topic = Kafka.topic(2);
      List<Member> members = new ArrayList<>();
      for (String id : List.of("one", "two")) members.add(Member.of(topic, topic, "group.instance.id", id));
      Checks.until("both share", Kafka.LIMIT, () -> shares(members, 2));
      int epoch = members.get(0).consumer.groupMetadata().generationId();
      Set<TopicPartition> had = members.get(1).consumer.assignment();
      members.remove(1).close();
      members.add(Member.of(topic, topic, "group.instance.id", "two"));
      Checks.until("both share again", Kafka.LIMIT, () -> shares(members, 2));
      Checks.equal(had, members.get(1).consumer.assignment());
      Checks.equal(epoch, members.get(0).consumer.groupMetadata().generationId());
      CloseOptions leave = CloseOptions.groupMembershipOperation(GroupMembershipOperation.LEAVE_GROUP);
      for (Member member : members) member.consumer.close(leave);
      Checks.equal(GroupState.EMPTY, describe(topic).groupState());
    });
    checks.add("an empty group changes its protocol and keeps its offsets", () -> {
      String topic = Kafka.topic(1);
      Kafka.send(topic, 3, "a");
      try (KafkaConsumer<byte[], byte[]> classic = Kafka.consumer("group.id", topic, "group.protocol", "classic")) {
        classic.subscribe(Collections.singleton(topic));
        Kafka.poll(classic, 3);
        classic.commitSync();
      }
      Kafka.send(topic, 2, "b");
      try (Member member = Member.of(topic, topic)) {
        member.reads(2);
      }
      Checks.equal(GroupType.CONSUMER, describe(topic).type());
    });
  }

  private static ConsumerGroupDescription describe(String group) throws Exception {
    try (Admin admin = Kafka.admin()) {
      return admin.describeConsumerGroups(Set.of(group)).all().get().get(group);
    }
  }

  private static boolean shares(List<Member> members, int partitions) {
    members.forEach(Member::poll);
    Set<TopicPartition> owned = new HashSet<>();
    int count = 0;
    for (Member member : members) {
      if (member.consumer.assignment().isEmpty()) return false;
      count += member.consumer.assignment().size();
      owned.addAll(member.consumer.assignment());
    }
    return count == partitions && owned.size() == partitions;
  }

  private static final class Member implements AutoCloseable {
    final KafkaConsumer<byte[], byte[]> consumer;
    final Set<String> seen = new HashSet<>();

    Member(String group, Object... pairs) {
      List<Object> all = new ArrayList<>(List.of("group.id", group, "group.protocol", "consumer",
          "enable.auto.commit", false));
      Collections.addAll(all, pairs);
      consumer = Kafka.consumer(all.toArray());
    }

    static Member of(String topic, String group, Object... pairs) {
      Member member = new Member(group, pairs);
      member.consumer.subscribe(Collections.singleton(topic));
      return member;
    }

    void poll() {
      consumer.poll(Duration.ofMillis(50)).forEach(record -> seen.add(Kafka.text(record.value())));
    }

    boolean has(int partitions) {
      poll();
      return consumer.assignment().size() == partitions;
    }

    void reads(int count) throws Exception {
      Checks.until(count + " records", Kafka.LIMIT, () -> {
        poll();
        return seen.size() == count;
      });
    }

    @Override
    public void close() {
      consumer.close();
    }
  }
}
