import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What the Kafka checks share: clients with few settings, and a topic of its own for each check. */
final class Kafka {
  static final Duration LIMIT = Duration.ofSeconds(30);
  static String bootstrap;
  private static int topics;

  static Map<String, Object> config(Object... pairs) {
    Map<String, Object> config = new HashMap<>();
    config.put("bootstrap.servers", bootstrap);
    for (int i = 0; i < pairs.length; i += 2) config.put((String) pairs[i], pairs[i + 1]);
    return config;
  }

  static KafkaProducer<byte[], byte[]> producer(Object... pairs) {
    return new KafkaProducer<>(config(pairs), new ByteArraySerializer(), new ByteArraySerializer());
  }

  static KafkaConsumer<byte[], byte[]> consumer(Object... pairs) {
    Map<String, Object> config = config(pairs);
    config.putIfAbsent("auto.offset.reset", "earliest");
    return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  static Admin admin() {
    return Admin.create(config());
  }

  static String topic(int partitions) throws Exception {
    String name = "java-" + ProcessHandle.current().pid() + "-" + ++topics;
    try (Admin admin = admin()) {
      admin.createTopics(Collections.singleton(new NewTopic(name, partitions, (short) 1))).all().get();
    }
    return name;
  }

  static byte[] bytes(String text) {
    return text.getBytes(java.nio.charset.StandardCharsets.UTF_8);
  }

  static String text(byte[] bytes) {
    return new String(bytes, java.nio.charset.StandardCharsets.UTF_8);
  }

  /** Sends PREFIX0, PREFIX1, ... and waits until all are acknowledged. */
  static List<RecordMetadata> send(String topic, int count, String prefix, Object... pairs) throws Exception {
    List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
    List<RecordMetadata> acknowledged = new ArrayList<>();
    try (KafkaProducer<byte[], byte[]> producer = producer(pairs)) {
      for (int i = 0; i < count; ++i) sent.add(producer.send(new ProducerRecord<>(topic, bytes(prefix + i))));
      for (java.util.concurrent.Future<RecordMetadata> one : sent) acknowledged.add(one.get());
    }
    return acknowledged;
  }

  static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> consumer, int count) {
    List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
    long deadline = System.nanoTime() + LIMIT.toNanos();
    while (records.size() < count && System.nanoTime() < deadline)
      consumer.poll(Duration.ofMillis(100)).forEach(records::add);
    Checks.equal(count, records.size());
    return records;
  }

  /** Reads a topic's first partition from its start, without a group. */
  static List<ConsumerRecord<byte[], byte[]>> read(String topic, int count, Object... pairs) {
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(pairs)) {
      TopicPartition partition = new TopicPartition(topic, 0);
      consumer.assign(Collections.singleton(partition));
      consumer.seekToBeginning(Collections.singleton(partition));
      return poll(consumer, count);
    }
  }
}
