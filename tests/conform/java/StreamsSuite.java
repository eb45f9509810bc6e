import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.InvalidStateStoreException;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;

/** Kafka Streams, at least once: a word count, whose words cross a repartition topic and whose counts are kept in a
    changelog topic. StreamsSuite BOOTSTRAP */
public final class StreamsSuite extends Tool {
  private static final int PARTITIONS = 3;
  private static final String STORE = "counts";
  private static final Checks checks = new Checks();

  public static void main(String[] args) throws Exception {
    Tool.bootstrap = Kafka.bootstrap = args[0];
    checks.add("words are counted across a repartition topic", StreamsSuite::counts);
    checks.add("a restarted application goes on where it stopped", StreamsSuite::restarts);
    checks.add("lost state is restored from the changelog", StreamsSuite::restores);
    checks.add("instances share the work, and one takes over from another", StreamsSuite::takesOver);
    checks.add("records of a repartition topic are deleted once they are counted", StreamsSuite::purges);
    checks.add("kafka-streams-application-reset has the application start over", StreamsSuite::resets);
    checks.runAndExit();
  }

  /** One application, its topics, and the instances that run. */
  private static final class WordCount implements AutoCloseable {
    final String name;
    final String lines;
    final String counts;
    final AtomicLong restored = new AtomicLong();
    private final List<KafkaStreams> running = new ArrayList<>();

    WordCount() throws Exception {
      lines = Kafka.topic(PARTITIONS);
      counts = Kafka.topic(1);
      name = "app-" + lines;
    }

    KafkaStreams start(Path state, Object... pairs) throws Exception {
      Properties config = new Properties();
      config.putAll(Kafka.config("application.id", name, "state.dir", state.toString(), "processing.guarantee",
          "at_least_once", "commit.interval.ms", 200, "num.stream.threads", 1, "auto.offset.reset", "earliest",
          "session.timeout.ms", 6000, "heartbeat.interval.ms", 500));
      for (int i = 0; i < pairs.length; i += 2) config.put(pairs[i], pairs[i + 1]);
      KafkaStreams streams = new KafkaStreams(topology(), config);
      streams.setGlobalStateRestoreListener(new CountRestored(restored));
      running.add(streams);
      streams.start();
      Checks.until("the instance runs", Kafka.LIMIT.multipliedBy(2), () -> streams.state() == KafkaStreams.State.RUNNING);
      return streams;
    }

    private org.apache.kafka.streams.Topology topology() {
      StreamsBuilder builder = new StreamsBuilder();
      builder.stream(lines, Consumed.with(Serdes.String(), Serdes.String()))
          .flatMapValues(line -> Arrays.asList(line.split(" ")))
          .groupBy((key, word) -> word, Grouped.with("words", Serdes.String(), Serdes.String()))
          .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as(STORE))
          .toStream()
          .to(counts, Produced.with(Serdes.String(), Serdes.Long()));
      return builder.build();
    }

    /** What the counts topic says last of each word is `wanted`. */
    void counted(Map<String, Long> wanted) throws Exception {
      Map<String, Long> got = new HashMap<>();
      TopicPartition partition = new TopicPartition(counts, 0);
      try (KafkaConsumer<byte[], byte[]> consumer = Kafka.consumer()) {
        consumer.assign(Set.of(partition));
        Checks.until(wanted + " of " + got, Kafka.LIMIT, () -> {
          consumer.poll(Duration.ofMillis(100)).forEach(record ->
              got.put(Kafka.text(record.key()), java.nio.ByteBuffer.wrap(record.value()).getLong()));
          return got.equals(wanted);
        });
      } catch (AssertionError late) {
        throw new AssertionError(late.getMessage() + "; last: " + got);
      }
    }

    String internal(String suffix) {
      return name + "-" + suffix;
    }

    void stop() {
      running.forEach(streams -> streams.close(Duration.ofSeconds(20)));
      running.clear();
    }

    @Override
    public void close() {
      stop();
    }
  }

  private record CountRestored(AtomicLong records) implements StateRestoreListener {
    public void onRestoreStart(TopicPartition partition, String store, long begin, long end) {}

    public void onBatchRestored(TopicPartition partition, String store, long end, long count) {
      records.addAndGet(count);
    }

    public void onRestoreEnd(TopicPartition partition, String store, long total) {}
  }

  private static Path state() throws Exception {
    return Files.createTempDirectory("streams");
  }

  /** Each line has the words "a", "b" and "wI" with I from 0 to 9. */
  private static void sendLines(String topic, int count) throws Exception {
    try (var producer = Kafka.producer("linger.ms", 5)) {
      for (int i = 0; i < count; ++i)
        producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(topic, i % PARTITIONS, null,
            Kafka.bytes("a b w" + i % 10)));
    }
  }

  private static Map<String, Long> expected(int lines) {
    Map<String, Long> counts = new HashMap<>(Map.of("a", (long) lines, "b", (long) lines));
    for (int i = 0; i < lines; ++i) counts.merge("w" + i % 10, 1L, Long::sum);
    return counts;
  }

  private static void counts() throws Exception {
    try (WordCount app = new WordCount(); Admin admin = Kafka.admin()) {
      app.start(state());
      sendLines(app.lines, 1000);
      app.counted(expected(1000));
      Checks.equal("delete", policy(admin, app.internal("words-repartition")));
      Checks.equal("compact", policy(admin, app.internal("counts-changelog")));
      Checks.equal(PARTITIONS, admin.describeTopics(Set.of(app.internal("counts-changelog"))).allTopicNames().get()
          .get(app.internal("counts-changelog")).partitions().size());
    }
  }

  private static String policy(Admin admin, String topic) throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    ConfigEntry entry = admin.describeConfigs(Set.of(resource)).all().get().get(resource).get("cleanup.policy");
    return entry.value();
  }

  private static void restarts() throws Exception {
    Path state = state();
    try (WordCount app = new WordCount()) {
      app.start(state);
      sendLines(app.lines, 200);
      app.counted(expected(200));
      app.stop();
      sendLines(app.lines, 200);
      app.start(state);
      app.counted(sum(expected(200), expected(200)));
    }
  }

  private static Map<String, Long> sum(Map<String, Long> one, Map<String, Long> other) {
    Map<String, Long> all = new HashMap<>(one);
    other.forEach((word, count) -> all.merge(word, count, Long::sum));
    return all;
  }

  private static void restores() throws Exception {
    try (WordCount app = new WordCount()) {
      app.start(state());
      sendLines(app.lines, 500);
      app.counted(expected(500));
      app.stop();
      Checks.equal(0L, app.restored.get());
      KafkaStreams streams = app.start(state());
      Checks.until("the store holds the counts", Kafka.LIMIT, () -> store(streams).equals(expected(500)));
      Checks.that(app.restored.get() >= expected(500).size(), "restored " + app.restored.get());
      sendLines(app.lines, 10);
      app.counted(sum(expected(500), expected(10)));
    }
  }

  private static Map<String, Long> store(KafkaStreams streams) {
    Map<String, Long> all = new HashMap<>();
    try {
      var store = streams.store(StoreQueryParameters.fromNameAndType(STORE, QueryableStoreTypes.<String, Long>keyValueStore()));
      try (var each = store.all()) {
        each.forEachRemaining(entry -> all.put(entry.key, entry.value));
      }
    } catch (InvalidStateStoreException notYet) {
      all.clear();
    }
    return all;
  }

  private static void takesOver() throws Exception {
    try (WordCount app = new WordCount()) {
      KafkaStreams first = app.start(state(), "num.standby.replicas", 1);
      KafkaStreams second = app.start(state(), "num.standby.replicas", 1);
      Checks.until("both have tasks", Kafka.LIMIT, () -> tasks(first) > 0 && tasks(second) > 0
          && tasks(first) + tasks(second) == 2 * PARTITIONS);
      sendLines(app.lines, 300);
      app.counted(expected(300));
      first.close(Duration.ofSeconds(20));
      sendLines(app.lines, 300);
      app.counted(sum(expected(300), expected(300)));
      Checks.until("the second has all tasks", Kafka.LIMIT, () -> tasks(second) == 2 * PARTITIONS);
    }
  }

  private static int tasks(KafkaStreams streams) {
    return streams.metadataForLocalThreads().stream().mapToInt(thread -> thread.activeTasks().size()).sum();
  }

  private static void purges() throws Exception {
    try (WordCount app = new WordCount(); Admin admin = Kafka.admin()) {
      app.start(state(), "repartition.purge.interval.ms", 300);
      sendLines(app.lines, 300);
      app.counted(expected(300));
      Checks.until("900 records are deleted", Kafka.LIMIT, () -> begins(admin, app.internal("words-repartition")) == 900);
    }
  }

  private static long begins(Admin admin, String topic) throws Exception {
    Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
    for (int i = 0; i < PARTITIONS; ++i) wanted.put(new TopicPartition(topic, i), OffsetSpec.earliest());
    return admin.listOffsets(wanted).all().get().values().stream().mapToLong(found -> found.offset()).sum();
  }

  private static void resets() throws Exception {
    Path state = state();
    try (WordCount app = new WordCount(); Admin admin = Kafka.admin()) {
      KafkaStreams streams = app.start(state);
      sendLines(app.lines, 100);
      app.counted(expected(100));
      app.stop();
      streams.cleanUp();
      Checks.until("the group is empty", Kafka.LIMIT, () -> admin.describeClassicGroups(Set.of(app.name)).all().get()
          .get(app.name).members().isEmpty());
      String text = good(TOOLS + "StreamsResetter", "--application-id", app.name, "--input-topics", app.lines, "--force");
      has(text, app.internal("words-repartition"), app.internal("counts-changelog"));
      Checks.that(admin.listTopics().names().get().stream().noneMatch(name -> name.startsWith(app.name)), "topics are gone");
      app.start(state);
      sendLines(app.lines, 1);
      app.counted(sum(expected(100), expected(1)));
    }
  }
}
