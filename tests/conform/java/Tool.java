import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Kafka's programs, each run as a user runs it: in a process of its own, until it ends. */
abstract class Tool {
  static final String TOOLS = "org.apache.kafka.tools.";
  private static final int SECONDS_MAX = 60;
  static String bootstrap;
  private static int topics;

  record Output(int code, String text) {}

  static List<String> java(String program, String... args) {
    List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().get(), "-Xmx128m",
        "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp",
        System.getProperty("java.class.path"), program));
    command.addAll(List.of(args));
    return command;
  }

  /** A tool that is not told of the broker by --bootstrap-server. */
  static Output runPlain(String input, String program, String... args) throws Exception {
    Path in = Files.createTempFile("tool", ".in");
    Path out = Files.createTempFile("tool", ".out");
    Files.writeString(in, input);
    Process process = new ProcessBuilder(java(program, args)).redirectErrorStream(true).redirectInput(in.toFile())
        .redirectOutput(out.toFile()).start();
    boolean ended = process.waitFor(SECONDS_MAX, TimeUnit.SECONDS);
    if (!ended) process.destroyForcibly().waitFor();
    String text = Files.readString(out, StandardCharsets.UTF_8);
    Files.delete(in);
    Files.delete(out);
    if (!ended) throw new AssertionError(program + " took longer than " + SECONDS_MAX + " s: " + text);
    return new Output(process.exitValue(), text);
  }

  static Output run(String input, String tool, String... args) throws Exception {
    return runPlain(input, tool, with(new String[] {"--bootstrap-server", bootstrap}, args));
  }

  static String good(String tool, String... args) throws Exception {
    return text(tool, run("", tool, args));
  }

  static String text(String tool, Output output) {
    if (output.code != 0) throw new AssertionError(tool + " ended with " + output.code + ": " + output.text);
    return output.text;
  }

  static void has(String text, String... wanted) {
    for (String part : wanted)
      if (!text.contains(part)) throw new AssertionError("no '" + part + "' in: " + text);
  }

  static String topic() {
    return "tool-" + ++topics;
  }

  static String made(int partitions) throws Exception {
    String topic = topic();
    good(TOOLS + "TopicCommand", "--create", "--topic", topic, "--partitions", "" + partitions);
    return topic;
  }

  static void send(String topic, int count) throws Exception {
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < count; ++i) lines.append("key").append(i).append(":m").append(i).append('\n');
    text("console producer", run(lines.toString(), TOOLS + "ConsoleProducer", "--topic", topic, "--reader-property",
        "parse.key=true", "--reader-property", "key.separator=:"));
  }

  static String read(String topic, int count, String... more) throws Exception {
    return good(TOOLS + "consumer.ConsoleConsumer", with(new String[] {"--topic", topic, "--from-beginning",
        "--max-messages", "" + count, "--timeout-ms", "20000"}, more));
  }

  static String[] with(String[] first, String... more) {
    List<String> all = new ArrayList<>(List.of(first));
    all.addAll(List.of(more));
    return all.toArray(new String[0]);
  }
}
