import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import org.apache.kafka.clients.consumer.KafkaConsumer;

/** A group member in a process of its own, so that it can be killed. */
final class GroupMember implements AutoCloseable {
  private final Process process;
  private final Path log;

  GroupMember(String topic, String group) throws Exception {
    log = Files.createTempFile("member", ".log");
    process = new ProcessBuilder(ProcessHandle.current().info().command().get(), "-Xmx128m", "-cp",
        System.getProperty("java.class.path"), "KafkaSuite", Kafka.bootstrap, topic, group)
        .redirectErrorStream(true).redirectOutput(new File(log.toString())).start();
  }

  boolean hasRead() throws Exception {
    return Files.readString(log).contains("read ");
  }

  void kill() throws Exception {
    process.destroyForcibly().waitFor();
  }

  @Override
  public void close() throws Exception {
    kill();
    Files.delete(log);
  }

  static void main(String topic, String group) {
    KafkaConsumer<byte[], byte[]> consumer = Kafka.consumer("group.id", group, "session.timeout.ms", 6000,
        "heartbeat.interval.ms", 500, "enable.auto.commit", false);
    consumer.subscribe(Collections.singleton(topic));
    long deadline = System.nanoTime() + Duration.ofSeconds(120).toNanos();
    while (System.nanoTime() < deadline)
      consumer.poll(Duration.ofMillis(100)).forEach(record -> System.out.println("read " + record.offset()));
  }
}
