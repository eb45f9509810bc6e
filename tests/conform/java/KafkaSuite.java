import static java.util.Collections.singleton;

import java.time.Duration;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TransactionalIdAuthorizationException;

/** kafka-clients: KafkaSuite BOOTSTRAP. With a second argument it is a group member that others kill: see GroupMember. */
public final class KafkaSuite {
  private static final Checks checks = new Checks();

  public static void main(String[] args) throws Exception {
    Kafka.bootstrap = args[0];
    if (args.length > 1) {
      GroupMember.main(args[1], args[2]);
      return;
    }
    producing();
    consuming();
    GroupChecks.add(checks);
    AdminChecks.add(checks);
    checks.runAndExit();
  }

  private static void producing() {
    checks.add("a record keeps key, value, headers and timestamp", () -> {
      String topic = Kafka.topic(1);
      try (KafkaProducer<byte[], byte[]> producer = Kafka.producer()) {
        ProducerRecord<byte[], byte[]> record =
            new ProducerRecord<>(topic, null, 1700000000123L, Kafka.bytes("k"), Kafka.bytes("v"));
        record.headers().add("colour", Kafka.bytes("grün")).add("none", null);
        producer.send(record).get();
        producer.send(new ProducerRecord<>(topic, Kafka.bytes("gone"), null)).get();
        producer.send(new ProducerRecord<>(topic, new byte[0])).get();
      }
      List<ConsumerRecord<byte[], byte[]>> read = Kafka.read(topic, 3);
      Checks.equal("k", Kafka.text(read.get(0).key()));
      Checks.equal("v", Kafka.text(read.get(0).value()));
      Checks.equal(1700000000123L, read.get(0).timestamp());
      Checks.equal("grün", Kafka.text(read.get(0).headers().lastHeader("colour").value()));
      Checks.that(read.get(0).headers().lastHeader("none").value() == null, "the header is null");
      Checks.that(read.get(1).value() == null, "the value is null");
      Checks.equal(0, read.get(2).value().length);
    });
    for (String codec : Arrays.asList("none", "gzip", "snappy", "lz4", "zstd")) {
      checks.add("codec " + codec + " comes back", () -> {
        String topic = Kafka.topic(1);
        Kafka.send(topic, 500, "a text that repeats itself, a text that repeats itself ", "compression.type", codec);
        List<ConsumerRecord<byte[], byte[]>> read = Kafka.read(topic, 500);
        for (int i = 0; i < 500; ++i) Checks.that(Kafka.text(read.get(i).value()).endsWith(" " + i), "order at " + i);
      });
    }
    for (String acks : Arrays.asList("0", "1", "all")) {
      checks.add("records sent with acks=" + acks + " arrive", () -> {
        String topic = Kafka.topic(1);
        Kafka.send(topic, 100, "m", "acks", acks, "enable.idempotence", false);
        Kafka.read(topic, 100);
      });
    }
    checks.add("an idempotent producer with five requests in flight keeps order", () -> {
      String topic = Kafka.topic(1);
      List<RecordMetadata> sent = Kafka.send(topic, 5000, "m", "batch.size", 200, "enable.idempotence", true);
      for (int i = 0; i < 5000; ++i) Checks.equal((long) i, sent.get(i).offset());
      List<ConsumerRecord<byte[], byte[]>> read = Kafka.read(topic, 5000);
      for (int i = 0; i < 5000; ++i) Checks.equal("m" + i, Kafka.text(read.get(i).value()));
    });
    checks.add("a topic that is not there is made by producing to it", () -> {
      String topic = "java-auto-" + ProcessHandle.current().pid();
      Checks.equal(0L, Kafka.send(topic, 1, "m").get(0).offset());
    });
    checks.add("a record that is too large is refused and the producer lives on", () -> {
      String topic = Kafka.topic(1);
      try (KafkaProducer<byte[], byte[]> producer = Kafka.producer("max.request.size", 4 << 20)) {
        Throwable why = Checks.failure(() -> producer.send(new ProducerRecord<>(topic, new byte[2 << 20])).get());
        Checks.that(why instanceof RecordTooLargeException, "too large: " + why);
        Checks.equal(0L, producer.send(new ProducerRecord<>(topic, new byte[1000])).get().offset());
      }
    });
    checks.add("a transactional producer is refused as not authorized", () -> {
      try (KafkaProducer<byte[], byte[]> producer = Kafka.producer("transactional.id", "t")) {
        Throwable why = Checks.failure(producer::initTransactions);
        Checks.that(why instanceof TransactionalIdAuthorizationException, "not authorized: " + why);
      }
    });
  }

  private static void consuming() {
    checks.add("a consumer seeks by offset, by time, to the end and back", () -> {
      String topic = Kafka.topic(1);
      TopicPartition partition = new TopicPartition(topic, 0);
      try (KafkaProducer<byte[], byte[]> producer = Kafka.producer()) {
        for (int i = 0; i < 10; ++i)
          producer.send(new ProducerRecord<>(topic, 0, 1700000000000L + i * 1000L, null, Kafka.bytes("m" + i))).get();
      }
      try (KafkaConsumer<byte[], byte[]> consumer = Kafka.consumer()) {
        consumer.assign(singleton(partition));
        consumer.seek(partition, 7);
        Checks.equal("m7", Kafka.text(Kafka.poll(consumer, 3).get(0).value()));
        OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, 1700000003500L)).get(partition);
        Checks.equal(4L, found.offset());
        Checks.equal(1700000004000L, found.timestamp());
        Checks.equal(10L, consumer.endOffsets(singleton(partition)).get(partition));
        Checks.equal(0L, consumer.beginningOffsets(singleton(partition)).get(partition));
        consumer.seekToEnd(singleton(partition));
        Checks.equal(10L, consumer.position(partition));
        consumer.seekToBeginning(singleton(partition));
        Checks.equal("m0", Kafka.text(Kafka.poll(consumer, 10).get(0).value()));
      }
    });
    checks.add("a position that is out of range is reset", () -> {
      String topic = Kafka.topic(1);
      TopicPartition partition = new TopicPartition(topic, 0);
      Kafka.send(topic, 5, "m");
      try (KafkaConsumer<byte[], byte[]> consumer = Kafka.consumer()) {
        consumer.assign(singleton(partition));
        consumer.seek(partition, 1000);
        Checks.equal(0L, Kafka.poll(consumer, 5).get(0).offset());
      }
    });
    checks.add("read_committed reads what was sent without transactions", () -> {
      String topic = Kafka.topic(1);
      Kafka.send(topic, 50, "m");
      Kafka.read(topic, 50, "isolation.level", "read_committed");
    });
    checks.add("small fetches bring every record of several partitions", () -> {
      String topic = Kafka.topic(6);
      Kafka.send(topic, 3000, "0123456789".repeat(20), "batch.size", 1000);
      try (KafkaConsumer<byte[], byte[]> consumer =
               Kafka.consumer("max.partition.fetch.bytes", 500, "fetch.max.bytes", 3000, "max.poll.records", 100)) {
        consumer.assign(partitions(topic, 6));
        Set<String> seen = new HashSet<>();
        Kafka.poll(consumer, 3000).forEach(record -> seen.add(Kafka.text(record.value())));
        Checks.equal(3000, seen.size());
      }
    });
    checks.add("a record reaches a waiting consumer at once", () -> {
      String topic = Kafka.topic(1);
      try (KafkaConsumer<byte[], byte[]> consumer = Kafka.consumer("fetch.max.wait.ms", 20000);
           KafkaProducer<byte[], byte[]> producer = Kafka.producer()) {
        consumer.assign(partitions(topic, 1));
        consumer.poll(Duration.ofMillis(500));
        producer.send(new ProducerRecord<>(topic, Kafka.bytes("live"))).get();
        long begin = System.nanoTime();
        Kafka.poll(consumer, 1);
        Checks.that(System.nanoTime() - begin < 5_000_000_000L, "it came within 5 s");
      }
    });
    checks.add("committed offsets carry metadata", () -> {
      String topic = Kafka.topic(1);
      TopicPartition partition = new TopicPartition(topic, 0);
      Kafka.send(topic, 5, "m");
      try (KafkaConsumer<byte[], byte[]> consumer = Kafka.consumer("group.id", topic, "enable.auto.commit", false)) {
        consumer.assign(singleton(partition));
        Checks.that(consumer.committed(singleton(partition)).get(partition) == null, "nothing is committed");
        consumer.commitSync(Map.of(partition, new OffsetAndMetadata(3, "a note")));
        OffsetAndMetadata committed = consumer.committed(singleton(partition)).get(partition);
        Checks.equal(3L, committed.offset());
        Checks.equal("a note", committed.metadata());
        Checks.equal(3L, consumer.position(partition));
      }
    });
  }

  static List<TopicPartition> partitions(String topic, int count) {
    TopicPartition[] all = new TopicPartition[count];
    for (int i = 0; i < count; ++i) all[i] = new TopicPartition(topic, i);
    return Arrays.asList(all);
  }
}
