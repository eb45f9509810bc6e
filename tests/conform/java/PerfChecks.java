import java.util.Arrays;
import java.util.List;

/** Kafka's tools that measure and verify: each must have moved as many records as it was told to. */
final class PerfChecks extends Tool {
  static void add(Checks checks) {
    checks.add("kafka-producer-perf-test and kafka-consumer-perf-test move every record", () -> {
      String topic = made(3);
      produce(topic, 20000, "linger.ms=5");
      String text = good(TOOLS + "ConsumerPerformance", "--topic", topic, "--num-records", "20000", "--hide-header");
      Checks.equal("20000", column(text, 4));
    });
    for (String codec : List.of("gzip", "snappy", "lz4", "zstd"))
      checks.add("kafka-producer-perf-test with " + codec, () -> produce(made(1), 5000, "compression.type=" + codec));
    checks.add("kafka-consumer-perf-test with the new group protocol", () -> {
      String topic = made(3);
      produce(topic, 5000, "linger.ms=5");
      String text = good(TOOLS + "ConsumerPerformance", "--topic", topic, "--num-records", "5000", "--hide-header",
          "--command-property", "group.protocol=consumer");
      Checks.equal("5000", column(text, 4));
    });
    checks.add("kafka-e2e-latency sees each record come back", () -> {
      Output output = runPlain("", TOOLS + "EndToEndLatency", "--bootstrap-server", bootstrap, "--topic", made(1),
          "--num-records", "200", "--producer-acks", "all", "--record-size", "100");
      has(text("e2e-latency", output), "Avg latency:", "Percentiles:");
    });
    checks.add("kafka-verifiable-producer sends what kafka-verifiable-consumer reads", PerfChecks::verifiable);
  }

  private static void produce(String topic, int records, String property) throws Exception {
    String text = good(TOOLS + "ProducerPerformance", "--topic", topic, "--num-records", "" + records, "--record-size",
        "200", "--throughput", "-1", "--command-property", property);
    has(text, records + " records sent, ", " 99th");
  }

  private static void verifiable() throws Exception {
    String topic = made(2);
    String sent = good(TOOLS + "VerifiableProducer", "--topic", topic, "--max-messages", "500", "--acks", "-1");
    has(sent, "\"sent\":500", "\"acked\":500");
    String read = good(TOOLS + "VerifiableConsumer", "--topic", topic, "--group-id", topic, "--max-messages", "500",
        "--reset-policy", "earliest");
    has(read, "partitions_assigned", "offsets_committed", "shutdown_complete");
    long consumed = Arrays.stream(read.split("\n")).filter(line -> line.contains("\"records_consumed\""))
        .mapToLong(line -> Long.parseLong(line.replaceAll(".*?\"count\":(\\d+).*", "$1"))).findFirst().orElse(0);
    Checks.that(consumed > 0, "records were consumed: " + read);
  }

  /** Of the last line of comma separated numbers. */
  private static String column(String text, int index) {
    String[] lines = text.strip().split("\n");
    return lines[lines.length - 1].split(",")[index].strip();
  }
}
