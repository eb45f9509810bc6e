import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.kafka.clients.consumer.KafkaConsumer;

/** Consumer groups of the classic protocol. */
final class GroupChecks {
  static void add(Checks checks) {
    checks.add("a group goes on where it committed", () -> {
      String topic = Kafka.topic(1);
      Kafka.send(topic, 10, "a");
      try (Member first = new Member(topic, topic)) {
        first.reads(10);
        first.consumer.commitSync();
      }
      Kafka.send(topic, 5, "b");
      try (Member second = new Member(topic, topic)) {
        second.reads(5);
        Checks.equal(new HashSet<>(List.of("b0", "b1", "b2", "b3", "b4")), second.seen);
      }
    });
    for (String assignor : List.of("RangeAssignor", "RoundRobinAssignor", "StickyAssignor", "CooperativeStickyAssignor")) {
      checks.add("members share partitions as they come and go, " + assignor, () -> {
        String topic = Kafka.topic(6);
        Object[] strategy = {"partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor};
        List<Member> members = new ArrayList<>();
        for (int i = 0; i < 3; ++i) members.add(new Member(topic, topic, strategy));
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
    checks.add("the partitions of a killed member go to the others", () -> {
      String topic = Kafka.topic(4);
      Kafka.send(topic, 400, "m", "batch.size", 0);
      List<Member> members = new ArrayList<>();
      try (GroupMember victim = new GroupMember(topic, topic)) {
        Checks.until("the victim reads", Kafka.LIMIT, victim::hasRead);
        members.add(new Member(topic, topic));
        Checks.until("the other member has two", Kafka.LIMIT, () -> {
          members.get(0).poll();
          return members.get(0).consumer.assignment().size() == 2;
        });
        victim.kill();
        Checks.until("the other member has all", Kafka.LIMIT, () -> shares(members, 4));
        Checks.until("all is read", Kafka.LIMIT, () -> {
          members.get(0).poll();
          return members.get(0).seen.size() == 400;
        });
      }
      members.get(0).close();
    });
    checks.add("a static member comes back to its partitions without a rebalance", () -> {
      String topic = Kafka.topic(2);
      List<Member> members = new ArrayList<>();
      for (String id : List.of("one", "two")) members.add(new Member(topic, topic, "group.instance.id", id));
      Checks.until("both share", Kafka.LIMIT, () -> shares(members, 2));
      int generation = members.get(0).consumer.groupMetadata().generationId();
      members.remove(1).close();
      members.add(new Member(topic, topic, "group.instance.id", "two"));
      Checks.until("both share again", Kafka.LIMIT, () -> shares(members, 2));
      Checks.equal(generation, members.get(0).consumer.groupMetadata().generationId());
      for (Member member : members) member.close();
    });
  }

  private static boolean shares(List<Member> members, int partitions) {
    members.forEach(Member::poll);  // all of them, whatever one has: a rebalance waits for each
    Set<Object> owned = new HashSet<>();
    int count = 0;
    for (Member member : members) {
      if (member.consumer.assignment().isEmpty()) return false;
      count += member.consumer.assignment().size();
      owned.addAll(member.consumer.assignment());
    }
    return count == partitions && owned.size() == partitions;
  }

  /** A member that the one thread of the checks polls in turn. */
  private static final class Member implements AutoCloseable {
    final KafkaConsumer<byte[], byte[]> consumer;
    final Set<String> seen = new HashSet<>();

    Member(String topic, String group, Object... pairs) {
      List<Object> all = new ArrayList<>(List.of("group.id", group, "session.timeout.ms", 6000,
          "heartbeat.interval.ms", 300, "enable.auto.commit", false));
      Collections.addAll(all, pairs);
      consumer = Kafka.consumer(all.toArray());
      consumer.subscribe(Collections.singleton(topic));
      poll();
    }

    void poll() {
      consumer.poll(Duration.ofMillis(50)).forEach(record -> seen.add(Kafka.text(record.value())));
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
