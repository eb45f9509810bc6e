import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Kafka Connect, each worker a process of its own: lines of a file go to a topic, and from it to another file.
    ConnectSuite BOOTSTRAP */
public final class ConnectSuite {
  private static final Duration LIMIT = Duration.ofSeconds(90);
  private static final String CLI = "org.apache.kafka.connect.cli.";
  private static final Checks checks = new Checks();
  private static int pipes;

  public static void main(String[] args) {
    Tool.bootstrap = Kafka.bootstrap = args[0];
    checks.add("a standalone worker copies a file through a topic", ConnectSuite::standalone);
    checks.add("a distributed worker keeps its connectors, offsets and states in compacted topics", ConnectSuite::distributed);
    checks.runAndExit();
  }

  /** The files and names of one way from file to file. */
  private static final class Pipe {
    final String name = "connect-" + ProcessHandle.current().pid() + "-" + ++pipes;
    final Path home = Files.createTempDirectory("connect");
    final Path in = home.resolve("in.txt");
    final Path out = home.resolve("out.txt");
    final int port = freePort();

    Pipe() throws Exception {
      Files.createFile(in);
    }

    Map<String, String> worker() {
      return Map.of("bootstrap.servers", Kafka.bootstrap, "key.converter", "org.apache.kafka.connect.storage.StringConverter",
          "value.converter", "org.apache.kafka.connect.storage.StringConverter", "offset.flush.interval.ms", "500",
          "listeners", "http://127.0.0.1:" + port, "plugin.discovery", "service_load");
    }

    Map<String, String> source() {
      return Map.of("name", name + "-source", "connector.class", "org.apache.kafka.connect.file.FileStreamSourceConnector",
          "tasks.max", "1", "file", in.toString(), "topic", name, "topic.creation.default.partitions", "1",
          "topic.creation.default.replication.factor", "1");
    }

    Map<String, String> sink() {
      return Map.of("name", name + "-sink", "connector.class", "org.apache.kafka.connect.file.FileStreamSinkConnector",
          "tasks.max", "1", "file", out.toString(), "topics", name, "consumer.override.auto.offset.reset", "earliest");
    }

    Path properties(String file, Map<String, String> first, Map<String, String> more) throws Exception {
      List<String> lines = new ArrayList<>();
      first.forEach((key, value) -> lines.add(key + "=" + value));
      more.forEach((key, value) -> lines.add(key + "=" + value));
      return Files.write(home.resolve(file), lines);
    }

    void write(int first, int count) throws Exception {
      Files.write(in, lines(first, count), StandardOpenOption.APPEND);
    }

    /** The sink's file holds exactly the lines from 0 on, each once, in order. */
    void copied(Process worker, int count) throws Exception {
      Checks.until(count + " lines in the sink's file", LIMIT, () -> {
        Checks.that(worker.isAlive(), "the worker runs; " + home.resolve("log"));
        return Files.exists(out) && Files.readAllLines(out).size() >= count;
      });
      Checks.equal(lines(0, count), Files.readAllLines(out));
    }

    Process start(String program, Path... properties) throws Exception {
      List<String> command = Tool.java(CLI + program);
      for (Path path : properties) command.add(path.toString());
      command.set(1, "-Xmx256m");
      return new ProcessBuilder(command).redirectErrorStream(true)
          .redirectOutput(ProcessBuilder.Redirect.appendTo(home.resolve("log").toFile())).start();
    }

    /** The body of an answer of the worker's own interface, or "" while there is none. */
    String ask(String method, String path, String body) throws Exception {
      HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path))
          .header("Content-Type", "application/json").method(method, HttpRequest.BodyPublishers.ofString(body)).build();
      try {
        HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        return answer.statusCode() / 100 == 2 ? answer.body() : "";
      } catch (java.net.ConnectException notYet) {
        return "";
      }
    }

    void running(String connector) throws Exception {
      Checks.until(connector + " runs with its task", LIMIT, () ->
          ask("GET", "/connectors/" + connector + "/status", "").split("\"state\":\"RUNNING\"", -1).length == 3);
    }
  }

  private static List<String> lines(int first, int count) {
    return IntStream.range(first, first + count).mapToObj(i -> "line " + i).collect(Collectors.toList());
  }

  private static int freePort() {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    } catch (java.io.IOException error) {
      throw new java.io.UncheckedIOException(error);
    }
  }

  private static void stop(Process worker) throws Exception {
    worker.destroy();
    if (!worker.waitFor(30, TimeUnit.SECONDS)) worker.destroyForcibly().waitFor();
  }

  /** Runs a worker for as long as the body does. */
  private static void with(Process worker, Checks.Body body) throws Exception {
    try {
      body.run();
    } finally {
      stop(worker);
    }
  }

  private static void standalone() throws Exception {
    Pipe pipe = new Pipe();
    Path worker = pipe.properties("worker", pipe.worker(), Map.of("offset.storage.file.filename", pipe.home.resolve("offsets").toString()));
    Path source = pipe.properties("source", pipe.source(), Map.of());
    Path sink = pipe.properties("sink", pipe.sink(), Map.of());
    pipe.write(0, 1000);
    Process first = pipe.start("ConnectStandalone", worker, source, sink);
    with(first, () -> {
      pipe.copied(first, 1000);
      pipe.running(pipe.name + "-source");
      pipe.running(pipe.name + "-sink");
      pipe.write(1000, 10);
      pipe.copied(first, 1010);
    });
    pipe.write(1010, 500);
    Process second = pipe.start("ConnectStandalone", worker, source, sink);
    with(second, () -> pipe.copied(second, 1510));
    Checks.equal("line 0", Kafka.text(Kafka.read(pipe.name, 1510).get(0).value()));
  }

  private static void distributed() throws Exception {
    Pipe pipe = new Pipe();
    Path worker = pipe.properties("worker", pipe.worker(), Map.of("group.id", pipe.name, "config.storage.topic",
        pipe.name + "-configs", "offset.storage.topic", pipe.name + "-offsets", "status.storage.topic", pipe.name + "-status",
        "config.storage.replication.factor", "1", "offset.storage.replication.factor", "1",
        "status.storage.replication.factor", "1", "offset.storage.partitions", "3"));
    pipe.write(0, 200);
    Process first = pipe.start("ConnectDistributed", worker);
    with(first, () -> {
      for (Map<String, String> connector : List.of(pipe.source(), pipe.sink()))
        Checks.until("the worker takes " + connector.get("name"), LIMIT, () ->
            !pipe.ask("PUT", "/connectors/" + connector.get("name") + "/config", json(connector)).isEmpty());
      pipe.running(pipe.name + "-source");
      pipe.running(pipe.name + "-sink");
      pipe.copied(first, 200);
    });
    pipe.write(200, 50);
    Process second = pipe.start("ConnectDistributed", worker);
    with(second, () -> pipe.copied(second, 250));
  }

  private static String json(Map<String, String> config) {
    return config.entrySet().stream().map(entry -> "\"" + entry.getKey() + "\":\"" + entry.getValue() + "\"")
        .collect(Collectors.joining(",", "{", "}"));
  }
}
