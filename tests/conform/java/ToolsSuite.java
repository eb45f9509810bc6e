import java.nio.file.Files;
import java.nio.file.Path;

/** Kafka's console tools, each run as a user runs it: in a process of its own. ToolsSuite BOOTSTRAP */
public final class ToolsSuite extends Tool {
  private static final Checks checks = new Checks();

  public static void main(String[] args) {
    bootstrap = args[0];
    topics();
    configs();
    records();
    groups();
    cluster();
    PerfChecks.add(checks);
    checks.runAndExit();
  }

  private static void topics() {
    checks.add("kafka-topics creates, lists, describes, alters and deletes", () -> {
      String topic = topic();
      String tool = TOOLS + "TopicCommand";
      has(good(tool, "--create", "--topic", topic, "--partitions", "3", "--replication-factor", "1", "--config",
          "retention.ms=60000"), "Created topic " + topic);
      has(good(tool, "--list"), topic);
      has(good(tool, "--describe", "--topic", topic), "PartitionCount: 3", "ReplicationFactor: 1", "retention.ms=60000",
          "Leader: 1", "Isr: 1");
      good(tool, "--alter", "--topic", topic, "--partitions", "5");
      has(good(tool, "--describe", "--topic", topic), "PartitionCount: 5");
      good(tool, "--describe", "--unavailable-partitions");
      good(tool, "--create", "--if-not-exists", "--topic", topic);
      has(run("", tool, "--create", "--topic", topic).text(), "already exists");
      good(tool, "--delete", "--topic", topic);
      Checks.that(!good(tool, "--list").contains(topic), "it is gone");
    });
  }

  private static void configs() {
    String tool = "kafka.admin.ConfigCommand";
    checks.add("kafka-configs sets, describes and deletes a topic's config", () -> {
      String topic = made(1);
      String[] of = {"--entity-type", "topics", "--entity-name", topic};
      good(tool, with(of, "--alter", "--add-config", "max.message.bytes=2000000,cleanup.policy=[compact]"));
      has(good(tool, with(of, "--describe")), "max.message.bytes=2000000", "cleanup.policy=compact");
      good(tool, with(of, "--alter", "--delete-config", "max.message.bytes"));
      Checks.that(!good(tool, with(of, "--describe")).contains("max.message.bytes"), "it is the default again");
      has(good(tool, with(of, "--describe", "--all")), "max.message.bytes=1048588");
      Checks.that(run("", tool, with(of, "--alter", "--add-config", "no.such=1")).code() != 0, "an unknown key is refused");
    });
    checks.add("kafka-configs describes the broker", () ->
        has(good(tool, "--entity-type", "brokers", "--entity-name", "1", "--describe", "--all"), "message.max.bytes=1048588"));
  }

  private static void records() {
    checks.add("kafka-console-producer sends what kafka-console-consumer reads", () -> {
      String topic = made(1);
      send(topic, 20);
      String text = read(topic, 20, "--formatter-property", "print.key=true", "--formatter-property", "print.offset=true",
          "--formatter-property", "print.partition=true");
      has(text, "Partition:0\tOffset:0\tkey0\tm0\n", "Offset:19\tkey19\tm19\n", "Processed a total of 20 messages");
    });
    checks.add("kafka-console-producer makes the topic", () -> {
      String topic = topic();
      send(topic, 1);
      has(read(topic, 1), "m0\n");
    });
    checks.add("kafka-get-offsets tells the offsets", () -> {
      String topic = made(2);
      send(topic, 10);
      String tool = TOOLS + "GetOffsetShell";
      has(good(tool, "--topic", topic, "--time", "earliest"), topic + ":0:0", topic + ":1:0");
      int sum = 0;
      for (String line : good(tool, "--topic", topic, "--time", "latest").strip().split("\n"))
        if (line.startsWith(topic + ":")) sum += Integer.parseInt(line.substring(line.lastIndexOf(':') + 1));
      Checks.equal(10, sum);
      good(tool, "--topic", topic, "--time", "max-timestamp");
      has(good(tool, "--topic", topic, "--time", "1"), topic + ":0:0");
    });
    checks.add("kafka-delete-records deletes up to an offset", () -> {
      String topic = made(1);
      send(topic, 10);
      Path file = Files.createTempFile("offsets", ".json");
      Files.writeString(file, "{\"version\": 1, \"partitions\": [{\"topic\": \"" + topic
          + "\", \"partition\": 0, \"offset\": 4}]}");
      has(good(TOOLS + "DeleteRecordsCommand", "--offset-json-file", file.toString()), "low_watermark: 4");
      Files.delete(file);
      has(good(TOOLS + "GetOffsetShell", "--topic", topic, "--time", "earliest"), topic + ":0:4");
    });
  }

  private static void groups() {
    String tool = TOOLS + "consumer.group.ConsumerGroupCommand";
    checks.add("kafka-consumer-groups lists and describes", () -> {
      String topic = read();
      has(good(tool, "--list"), topic);
      has(good(tool, "--list", "--state"), topic);
      has(good(tool, "--describe", "--group", topic).replaceAll(" +", " "), topic + " " + topic + " 0 10 10 0");
      has(good(tool, "--describe", "--group", topic, "--state"), "Empty");
      good(tool, "--describe", "--group", topic, "--members", "--verbose");
    });
    checks.add("kafka-consumer-groups resets offsets in every way", () -> {
      String topic = read();
      String[] of = {"--reset-offsets", "--group", topic, "--topic", topic};
      has(good(tool, with(of, "--to-earliest", "--dry-run")), " 0");
      good(tool, with(of, "--to-earliest", "--execute"));
      committed(tool, topic, 0);
      good(tool, with(of, "--shift-by", "3", "--execute"));
      committed(tool, topic, 3);
      good(tool, with(of, "--to-offset", "7", "--execute"));
      committed(tool, topic, 7);
      good(tool, with(of, "--to-datetime", "2000-01-01T00:00:00.000", "--execute"));
      committed(tool, topic, 0);
      good(tool, with(of, "--to-latest", "--execute"));
      committed(tool, topic, 10);
      good(tool, with(of, "--by-duration", "PT1H", "--execute"));
      committed(tool, topic, 0);
      has(read(topic, 10, "--group", topic), "m9");
    });
    checks.add("kafka-consumer-groups deletes offsets and groups", () -> {
      String topic = read();
      good(tool, "--delete-offsets", "--group", topic, "--topic", topic);
      good(tool, "--delete", "--group", topic);
      Checks.that(!good(tool, "--list").contains(topic), "it is gone");
    });
    checks.add("kafka-groups lists", () -> has(good(TOOLS + "GroupsCommand", "--list"), "Classic"));
  }

  /** A topic of ten records and a group of its name that has read them. */
  private static String read() throws Exception {
    String topic = made(1);
    send(topic, 10);
    read(topic, 10, "--group", topic);
    return topic;
  }

  private static void committed(String tool, String group, int offset) throws Exception {
    has(good(tool, "--describe", "--group", group).replaceAll(" +", " "), group + " " + group + " 0 " + offset + " 10 ");
  }

  private static void cluster() {
    checks.add("kafka-broker-api-versions shows the versions", () ->
        has(good(TOOLS + "BrokerApiVersionsCommand"), "Produce(0)", "Fetch(1)", "(id: 1"));
    checks.add("kafka-log-dirs tells the size of each partition", () -> {
      String topic = made(2);
      send(topic, 10);
      String text = good(TOOLS + "LogDirsCommand", "--describe", "--broker-list", "1", "--topic-list", topic);
      has(text, "\"partition\":\"" + topic + "-0\"", "\"partition\":\"" + topic + "-1\"", "\"error\":null",
          "\"isFuture\":false");
      Checks.that(text.replaceAll("(?s).*?\"size\":(\\d+)", "$1 ").matches("(?s).*\\b[1-9]\\d+ .*"), "a size: " + text);
    });
    checks.add("kafka-leader-election has nothing to do", () -> {
      String text = good(TOOLS + "LeaderElectionCommand", "--election-type", "preferred", "--topic", made(1), "--partition", "0");
      has(text, "Valid replica already elected");
    });
    checks.add("kafka-reassign-partitions lists none", () ->
        has(good(TOOLS + "reassign.ReassignPartitionsCommand", "--list"), "No partition reassignments found"));
    checks.add("kafka-cluster tells the id", () -> {
      Output output = runPlain("", TOOLS + "ClusterTool", "cluster-id", "--bootstrap-server", bootstrap);
      Checks.equal(0, output.code());
      has(output.text(), "Cluster ID: ");
    });
  }
}
